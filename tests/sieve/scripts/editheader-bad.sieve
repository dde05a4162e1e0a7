require "editheader";
addheader "X-Bad Name" "x";
addheader "X-A" "ab";
deleteheader :last "X-A";
addheader "X-A";
deleteheader :is "X-A" "b" "c";
