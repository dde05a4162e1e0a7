require ["vnd.columba.queue"];
queue :hold "first";
queue :priority "-3" :retry ["90 secs", "5m", "2 days"];
queue :expire "1w";
