require ["include", "variables"]; global ["in", "out"]; set "out" "got ${in}";
