require ["include", "variables"];
global ["shared"];
set "shared" "global ${shared}";
