require ["editheader", "variables"];
set "name" "not good";
addheader "${name}" "x";
