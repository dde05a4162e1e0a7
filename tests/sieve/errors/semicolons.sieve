require "fileinto";
fileinto "a"
keep;
discard
stop;
redirect "a@b.example" keep;
keep keep;
