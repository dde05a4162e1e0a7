require ["vnd.columba.log", "variables"];
set "what" "a thing";
log "Seen ${what}";
log "Seen" "no field";
log "Seen" "id=mine";
