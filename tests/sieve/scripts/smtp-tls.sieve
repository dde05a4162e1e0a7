require ["vnd.columba.smtp"];
require_tls;
