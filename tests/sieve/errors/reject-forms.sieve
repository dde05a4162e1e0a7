require "reject";
reject;
reject 1;
reject ["a"];
reject "a" "b";
reject :now "a";
