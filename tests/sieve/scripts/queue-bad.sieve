require ["vnd.columba.queue"];
queue :retry "soon";
queue :priority "10";
queue;
queue :expire "0m";
queue :retry ["1m", "2 years"];
