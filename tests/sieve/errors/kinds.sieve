header "a" "b";
if keep { stop; }
true;
if stop { }
not true;
