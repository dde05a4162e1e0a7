require "vnd.columba.dict";
if dict_get "nowhere" "k" { keep; }
