require ["date", "index"];
if date "date" "century" "20" { keep; }
if date :zone "CET" "date" "year" "20" { keep; }
if date :zone "+0100" :originalzone "date" "year" "20" { keep; }
if currentdate :originalzone "year" "20" { keep; }
if date :last "date" "year" "20" { keep; }
if header :index 0 "subject" "x" { keep; }
if date "date" "year" { keep; }
