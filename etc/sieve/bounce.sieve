# What the queue asks before each report to a sender: `sieve_bounce = /etc/columba/sieve/bounce.sieve`.
#
# Without this script a report of failure returns the mail (its header where RET=HDRS was asked for), others the header,
# in the sender's language if there is a translation (docs/dsn.md). A mistake in this script is a warning in the
# log, and the report is made as without it. Everything below is an example: take out what you need.
require ["environment", "envelope", "vnd.columba.queue"];

# The whole mail once more is of no use to a program that sends thousands.
if environment "vnd.columba.kind" "failed" {
    if envelope :domain "from" "lists.example.org" {
        dsn :headers;
    }
}

# Some want no notices of delay.
#if environment "vnd.columba.kind" "delayed" {
#    if envelope "from" "robot@example.org" {
#        dsn :none;
#    }
#}

# Words of your own, and a copy for the help desk.
#dsn :headers :text "Questions? https://help.example.org/mail" :copy "helpdesk@example.org";
