require "ihave";
error;
error 1;
error "a" "b";
error "fine";
