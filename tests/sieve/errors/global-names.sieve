require ["include", "variables"];
set "local" "x";
global "local";
global "a b";
global 1;
global "9";
global;
