require "vnd.columba.dns";
if dns "a" "broken.example" { keep; }
