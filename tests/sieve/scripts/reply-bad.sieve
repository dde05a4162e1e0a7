require "vnd.columba.smtp";
reply "250 2.0.0 Fine";
reply "550 4.7.1 Class";
reply "Not today";
tempfail 451;
