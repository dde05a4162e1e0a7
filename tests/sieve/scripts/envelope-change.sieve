require ["vnd.columba.envelope"];
set_sender "new@example.com";
add_recipient ["more@example.com"];
remove_recipient :domain "example.org";
