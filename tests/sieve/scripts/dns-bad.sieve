require "vnd.columba.dns";
if dns "hinfo" "a.example" { stop; }
if dns :comparator "i;none" "a" "a.example" "k" { stop; }
