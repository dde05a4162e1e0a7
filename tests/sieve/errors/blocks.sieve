keep { stop; }
if true;
stop { }
if false; else;
require "fileinto" { }
