require ["vnd.columba.smtp"];
delay 0;
delay 61;
disconnect "250 fine";
