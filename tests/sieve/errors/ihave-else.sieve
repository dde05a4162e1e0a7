require "ihave";
if ihave "fileinto" { fileinto "x"; } else { none; }
none;
keep 1;
