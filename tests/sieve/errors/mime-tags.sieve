require ["mime", "index"];
if header :anychild "a" "b" { keep; }
if header :type "a" "b" { keep; }
if header :mime :type :subtype "a" "b" { keep; }
if header :mime :param "a" { keep; }
if exists :anychild "a" { keep; }
if address :mime :type "from" "b" { keep; }
if header :mime :param 1 "a" "b" { keep; }
