require ["include", "variables"];
include "missing";
include "a/b";
include "";
include 1;
include ["a"];
include :personal :global "keeps";
return "x";
include :never "keeps";
