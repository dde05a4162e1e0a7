if address "subject" "x" { }
if address ["from", "x-none", "to"] "x" { }
if address :domain "received" "x" { }
