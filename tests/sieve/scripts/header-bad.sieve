require "vnd.columba.header";
insertheader "no name" "v";
insertheader :before "a" :after "b" "X" "v";
replaceheader :last "X" "v";
