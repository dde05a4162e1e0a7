require ["vnd.columba.mailauth"];
if spf "fail" { stop; }
if dkim "fail" { stop; }
if dmarc "fail" { stop; }
if arc "fail" { stop; }
