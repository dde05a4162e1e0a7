require ["vnd.columba.milter", "vnd.columba.policy"];
