require ["vnd.columba.sign"];
sign "not a domain";
