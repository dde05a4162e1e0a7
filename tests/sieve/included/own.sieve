require "variables"; set "mine" "inner";
