# Looks at the whole message before anything is done with it. What is refused here is refused for all
# recipients; what is not is kept.
require ["comparator-i;ascii-numeric", "editheader", "environment", "relational", "variables",
         "vnd.columba.mailauth", "vnd.columba.smtp"];

# RFC 5321 §6.3: a message that has come this far goes in circles.
if header :count "gt" :comparator "i;ascii-numeric" "received" "100" {
    reply "554 5.4.6 Too many hops";
}

# RFC 5322 §3.6: a message has one From field. Two of them fool readers about who wrote it.
if header :count "gt" :comparator "i;ascii-numeric" "from" "1" {
    reply "550 5.6.0 More than one From field";
}

# Did the one who stands in From write it? The owner of that domain says in the DNS what is to become of mail that
# neither SPF nor DKIM proves to be his (DMARC, RFC 9989). Strangers are asked for that proof; a login, or a
# client in trusted_networks, never is: what they send gets its signature here.
if environment "vnd.columba.trusted" "no" {
    # Mailing lists and forwarders break SPF, and often DKIM too. Let those in whose seals (ARC) you believe: name
    # a table of their domains in columba.conf, `lookup trusted_sealers { url = file:/etc/columba/sealers }`,
    # require "vnd.columba.lookup", and take away the marks of comment:
    # if allof (arc "pass", environment :matches "vnd.columba.arc-sealer" "*",
    #           lookup "trusted_sealers" "${1}") { stop; }

    # No answer from the DNS (temperror) lets mail in: whose name servers are down must not lose mail for it, nor
    # must we when our own resolver is; a forger can't bring it about. To have the client try again instead:
    # if dmarc "temperror" { tempfail "DMARC can't be checked now"; }

    if dmarc :policy "reject" :as "found" "fail" {
        # RFC 7372 §3.3
        reply "550 5.7.26 The owner of the domain in From asks to refuse such mail: ${found}";
    } elsif dmarc :policy "quarantine" :as "found" "fail" {
        # For the user's spam folder; his own rules look at it. A field of that name that came along is not ours.
        deleteheader "X-Spam";
        addheader "X-Spam" "Yes";
        addheader "X-Columba-Auth" "${found}";
    } elsif spf :as "found" "fail" {
        # SPF alone refuses nothing: any forwarder makes it fail. It is a mark for readers and filters.
        addheader "X-Columba-Auth" "${found}";
    }
}
