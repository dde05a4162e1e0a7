require ["mime", "foreverypart", "extracttext", "variables"];
if header :anychild "subject" "x" { keep; }
if header :type "content-type" "x" { keep; }
if header :mime :type :subtype "content-type" "x" { keep; }
break;
foreverypart :name "a" { break :name "b"; }
extracttext "x";
foreverypart;
