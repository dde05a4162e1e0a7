require "duplicate";
if duplicate :header "a" :uniqueid "b" { keep; }
if duplicate "x" { keep; }
if duplicate :seconds "x" { keep; }
if duplicate :header "bad name" { keep; }
