require ["vnd.columba.mailauth", "vnd.columba.milter", "vnd.columba.policy"];
