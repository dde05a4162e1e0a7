require ["vnd.columba.envelope"];
set_sender "nobody";
add_recipient ["fine@example.com", "<>"];
set_recipient "";
