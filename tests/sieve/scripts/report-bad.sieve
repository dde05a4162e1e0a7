require ["vnd.dovecot.report", "vnd.dovecot.debug"];
report "no good" "text" "a@example.com";
report "abuse" "text" "nobody";
report "abuse" "text";
debug_log;
