require ["include", "variables"]; global ["in", "out"]; set "out" "early ${in}"; if exists "from" { return; } set "out" "late";
