if false { none; keep 1; }
if true { } else { none; }
if true { } elsif none { none; }
if not true { none; }
if anyof (true, none) { } else { none; }
if allof (exists "x", false, none) { none; }
