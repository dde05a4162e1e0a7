require ["vnd.columba.smtp", "variables"];
set "code" "200";
reply "${code} Fine";
