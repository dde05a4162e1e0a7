require ["special-use", "fileinto"];
if specialuse_exists "Sent" { keep; }
fileinto :specialuse "Sent" "x";
fileinto :specialuse 1 "x";
