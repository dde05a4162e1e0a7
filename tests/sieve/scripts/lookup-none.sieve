require "vnd.columba.lookup";
if lookup "none" "x" { stop; }
