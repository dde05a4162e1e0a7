if header "a b" "c" { keep; }
if exists ["a:b", ""] { keep; }
