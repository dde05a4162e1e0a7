if header :nonsense "a" "b" { keep; }
unknown_command "x";
