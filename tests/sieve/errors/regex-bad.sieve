require ["regex", "comparator-i;ascii-numeric"];
if header :regex "a" "(" { keep; }
if header :regex "a" ["ok", "["] { keep; }
if header :regex "a" "*a" { keep; }
if header :regex "a" "[z-a]" { keep; }
if header :regex :comparator "i;ascii-numeric" "a" "1" { keep; }
