require "body";
if body :raw :text "a" { keep; }
if body :content { keep; }
if body 13 { keep; }
