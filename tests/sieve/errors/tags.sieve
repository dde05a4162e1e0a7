if header :none "a" "b" { keep; }
if header :none "a" "b" { keep; }
if header :other "a" "b" { keep; }
if header :is :is "a" "b" { keep; }
if header :is :contains "a" "b" { keep; }
if header "a" :is "b" { keep; }
if header :comparator "a" { keep; }
if header :comparator "i;none" "a" "b" { keep; }
if header :comparator 1 "a" "b" { keep; }
