none "a" { keep 1; none; }
none;
other;
if nothing 1 2 { }
if nothing { }
