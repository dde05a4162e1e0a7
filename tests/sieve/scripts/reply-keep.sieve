require "vnd.columba.smtp";
keep;
tempfail "Later";
