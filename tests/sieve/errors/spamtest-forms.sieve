require ["spamtest", "virustest"];
if spamtest { keep; }
if spamtest 1 { keep; }
if spamtest ["1", "2"] { keep; }
if spamtest "1" "2" { keep; }
if spamtest :percent "1" { keep; }
if virustest { keep; }
if virustest :percent "1" { keep; }
