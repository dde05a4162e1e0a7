require "index";
if header :last "x" "y" { keep; }
if header :index "1" "x" "y" { keep; }
if header :index 1 :index 2 "x" "y" { keep; }
if address :last "from" "y" { keep; }
if header :index "x" "y" { keep; }
