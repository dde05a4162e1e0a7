require ["editheader", "encoded-character"];
addheader "a b" "x";
addheader "a:" "x";
addheader "" "x";
addheader "X-A" "${hex:07}";
addheader "X-A" "${hex:7f}";
deleteheader "a b";
deleteheader :last "X-A";
