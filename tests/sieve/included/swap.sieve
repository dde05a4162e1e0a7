require ["include", "variables"];
global "shared";
set "own" "other";
set "shared" "was ${shared}";
