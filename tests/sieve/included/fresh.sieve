require ["include", "variables"]; global "out"; set "out" "${out}f";
