require "vnd.columba.dnsbl";
if dnsbl "dead.example" { keep; }
