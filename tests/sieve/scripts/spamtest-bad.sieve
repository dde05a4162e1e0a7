require ["spamtest", "virustest"];
if spamtest :percent "3" { keep; }
if virustest :percent "3" { keep; }
if spamtest 3 { keep; }
