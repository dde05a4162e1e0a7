require ["vnd.columba.envelope", "variables"];
set "who" "no address";
add_recipient "${who}";
