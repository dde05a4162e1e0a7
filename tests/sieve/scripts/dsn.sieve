require ["vnd.columba.queue"];
dsn :headers :text "Your mail did not arrive" :copy "postmaster@example.com";
