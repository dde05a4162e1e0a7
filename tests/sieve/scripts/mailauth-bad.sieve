require ["vnd.columba.mailauth"];
if spf "softfial" { discard; }
if dmarc :policy "refuse" "fail" { discard; }
if dkim :as "x" "pass" { discard; }
if spf :domain "x" "pass" { discard; }
