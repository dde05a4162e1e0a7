if header ["a",, "b"] "c" { keep 1; }
if header ["a" "b"] "c" { keep; }
if header [] "c" { keep; }
keep 1;
