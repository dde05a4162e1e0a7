# Looks at the whole message before anything is done with it. What is refused here is refused for all
# recipients; what is not is kept.
require ["comparator-i;ascii-numeric", "relational", "vnd.columba.smtp"];

# RFC 5321 §6.3: a message that has come this far goes in circles.
if header :count "gt" :comparator "i;ascii-numeric" "received" "100" {
    reply "554 5.4.6 Too many hops";
}

# RFC 5322 §3.6: a message has one From field. Two of them fool readers about who wrote it.
if header :count "gt" :comparator "i;ascii-numeric" "from" "1" {
    reply "550 5.6.0 More than one From field";
}
