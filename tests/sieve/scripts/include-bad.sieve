require ["include", "variables"];
include "there_is_none";
include "a/b";
include "";
include :personal :global "keeps";
set "used" "x";
global "used";
global "a.b";
include "${used}";
