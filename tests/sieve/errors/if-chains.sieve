else { keep 1; }
if true { } else { } else { }
if true { } keep; elsif true { }
elsif 10 true { }
if true; else { }
if { keep; }
if not { keep; }
