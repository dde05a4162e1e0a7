require ["environment", "vnd.columba.smtp"];
if environment "vnd.columba.ptr" ["confirmed", "unconfirmed", "missing", "unknown"] { delay 5; }
delay 2;
disconnect "554 5.7.1 go away";
