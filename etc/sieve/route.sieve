# Runs for each recipient: where the mail goes. What is kept takes the route that was set last.
# The tables are those of rcpt.sieve.
require ["envelope", "environment", "subaddress", "variables",
         "vnd.columba.lookup", "vnd.columba.route"];

# Variables of a session outlive a recipient: begin anew.
set "domain" "";
set "local" "";
set "user" "";
if envelope :matches :domain "to" "*" { set :lower "domain" "${1}"; }
if envelope :matches :localpart "to" "*" { set :lower "local" "${1}"; }
if envelope :matches :user "to" "*" { set :lower "user" "${1}"; }

# This server's own name is local as well: reports to its postmaster go there.
if anyof (string "${domain}" "", environment "host" "${domain}",
          lookup "local_domains" "${domain}") {
    # An alias sends on to up to four addresses; each is then routed by itself.
    if lookup :as "targets" "aliases"
            ["${local}@${domain}", "${user}@${domain}"] {
        if string :matches "${targets}" "*,*" { redirect "${1}"; set "targets" "${2}"; }
        if string :matches "${targets}" "*,*" { redirect "${1}"; set "targets" "${2}"; }
        if string :matches "${targets}" "*,*" { redirect "${1}"; set "targets" "${2}"; }
        redirect "${targets}";
        stop;
    }
    # Nobody asked for these addresses, but they must reach somebody: the mailbox "postmaster".
    set "mailbox" "postmaster";
    if lookup :as "mailbox" "local_users" ["${local}@${domain}", "${user}@${domain}"] {
        if string "${mailbox}" "" { set "mailbox" "${domain}/${user}"; }
    }
    route :maildir "${mailbox}";
    stop;
}

# Everything else leaves by MX. TLS is used wherever the next hop offers it, and what our own domains
# write is signed for them: only mail of trusted clients, for a stranger can write any name into From, and an
# alias that leads outside would make it ours.
set "author" "";
if address :matches :domain "from" "*" { set :lower "author" "${1}"; }
if allof (environment "vnd.columba.trusted" "yes", lookup "local_domains" "${author}") {
    route :mx :tls "may" :sign "${author}";
} else {
    route :mx :tls "may";
}
