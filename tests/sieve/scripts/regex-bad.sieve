require ["regex", "comparator-i;ascii-numeric"];
if header :regex "subject" "(" { keep; }
if header :regex "subject" ["a", "[z-a]"] { keep; }
if header :regex :comparator "i;ascii-numeric" "subject" "1" { keep; }
if header :regex :is "subject" "1" { keep; }
