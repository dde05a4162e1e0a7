require ["include", "variables"]; global "out"; set "out" "personal";
