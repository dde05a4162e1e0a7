require ["vnd.columba.ratelimit", "variables"];
set "r" "5 per hour";
if ratelimit "k" "${r}" { stop; }
