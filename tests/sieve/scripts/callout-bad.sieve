require "vnd.columba.callout";
if callout :relay "no host" { stop; }
if callout :relay "a.example" :port 0 { stop; }
