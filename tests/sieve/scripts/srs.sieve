require "vnd.columba.srs";
if srs_reverse "x@y" { keep; }
