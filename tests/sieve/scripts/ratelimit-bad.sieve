require "vnd.columba.ratelimit";
if ratelimit "k" "many" { stop; }
if ratelimit "k" "5/0s" { stop; }
