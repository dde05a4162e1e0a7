if header { keep; }
if header "a" { keep; }
if header "a" "b" "c" { keep; }
if header 1 "b" { keep; }
if size "1" { keep; }
if exists 1 { keep; }
keep 1;
redirect;
