require ["include", "variables"];
global "shared";
set "shared" "before";
if true { return; }
set "shared" "behind";
