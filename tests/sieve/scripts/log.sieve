require ["vnd.columba.log", "variables"];
set "what" "a thing";
log "Plain";
log :error "With fields" ["what=${what}", "number=3"];
