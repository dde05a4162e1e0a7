# The answer to RCPT TO: who may send to whom.
#
# Accepted: recipients of our own domains that exist, whoever sends; any recipient, if the client is
# authenticated or stands in trusted_networks. Everything else is refused, so this is no open relay.
#
# Look-up tables (columba.conf):
#   local_domains   our domains; only the key counts
#   local_users     user@domain -> mailbox below the mail root ("" = domain/user)
#   aliases         user@domain -> other addresses, separated by commas
require ["envelope", "environment", "subaddress", "variables",
         "vnd.columba.log", "vnd.columba.lookup", "vnd.columba.ratelimit", "vnd.columba.smtp"];

# Variables of a session outlive a recipient: begin anew.
set "domain" "";
set "local" "";
set "user" "";
if envelope :matches :domain "to" "*" { set :lower "domain" "${1}"; }
if envelope :matches :localpart "to" "*" { set :lower "local" "${1}"; }
if envelope :matches :user "to" "*" { set :lower "user" "${1}"; }

# RFC 5321 §4.5.1: <postmaster> needs no domain and is never refused.
if string "${domain}" "" {
    if string "${local}" "postmaster" { stop; }
    reply "550 5.1.3 A recipient needs a domain";
}

# This server's own name counts as a domain of ours: <postmaster> alone stands for postmaster there.
if anyof (environment "host" "${domain}", lookup "local_domains" "${domain}") {
    # RFC 5321 §4.5.1, RFC 2142 §2: these two always reach somebody.
    if string "${local}" ["postmaster", "abuse"] { stop; }
    # ann+lists@example.org belongs to ann@example.org.
    if lookup "aliases" ["${local}@${domain}", "${user}@${domain}"] { stop; }
    if lookup "local_users" ["${local}@${domain}", "${user}@${domain}"] { stop; }
    reply "550 5.1.1 No such user here";
}

if not environment "vnd.columba.trusted" "yes" {
    reply "550 5.7.1 Relaying denied";
}

# A stolen password must not send spam for long: a login may name so many recipients outside within an hour, counted
# at once whatever becomes of the mail; then it hears 450, and the log has an error for the administrator.
if environment :matches "vnd.columba.login" "?*" {
    set :lower "login" "${0}";
    if ratelimit :tries :as "recipients" "login/${login}" "500/1h" {
        log :error "Sending limit reached" ["login=${login}", "recipients=${recipients}"];
        reply "450 4.7.1 Too many recipients in the last hour, please wait";
    }
}
