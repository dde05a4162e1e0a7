require ["envelope", "vnd.columba.smtp"];
if envelope :domain "to" "no.example" { reply "550 5.1.2 No"; }
