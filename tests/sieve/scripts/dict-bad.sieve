require ["vnd.columba.dict", "encoded-character"];
if dict_get :as "x" "default" "k" { stop; }
dict_set "default" "k";
dict_set :expires "soon" "default" "k" "v";
dict_increment :frequently "default" "k";
