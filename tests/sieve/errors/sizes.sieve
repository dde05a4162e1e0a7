if size 10 { }
if size :over { }
if size :over :under 10 { }
if size :over 10 20 { }
if size :over :over 10 { }
if size :under "10" { }
