require "vnd.columba.dnsbl";
if dnsbl "bl.example=127.0.0" { stop; }
if dnsbl ["bl.example", "two zones"] { stop; }
