require "vnd.columba.smtp";
reply "550 5.7.1 No";
keep;
