require ["include", "variables"]; set "global.space" "seen ${global.space}";
