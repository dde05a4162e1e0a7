require ["vnd.columba.queue"];
queue :give_up "no longer";
