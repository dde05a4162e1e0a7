require ["envelope", "variables", "vnd.columba.lookup", "vnd.columba.route"];
if envelope :matches "to" "*" { set "to" "${1}"; }
if lookup :as "box" "users" ["nobody", "${to}"] { route :maildir "${box}"; }
