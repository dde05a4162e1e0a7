# What the queue asks after each try that failed, for each recipient: `sieve_retry = /etc/columba/sieve/retry.sieve`.
#
# Without this script the defaults of columba.conf hold: tried again after 1 minute, then twice as long each time up to
# 4 hours, a notice to the sender after 4 hours, given up after 5 days. What is not said here stays so; a mistake in
# this script is a warning in the log, and the defaults hold. Everything below is an example: take out what you need.
require ["environment", "envelope", "relational", "comparator-i;ascii-numeric", "vnd.columba.queue"];

# Who greylists wants to see us again soon, and then not at once.
if environment :contains "vnd.columba.text" "greylist" {
    queue :retry "5 mins";
}

# A full mailbox is rarely emptied within the hour: do not ask every few minutes, and give up after two days.
#elsif environment "vnd.columba.enhanced" "4.2.2" {
#    queue :retry "2 hours" :expire "2 days";
#}

# A one-time password that is late is of no use.
#if envelope "from" "otp@example.org" {
#    if environment :value "gt" :comparator "i;ascii-numeric" "vnd.columba.age" "600" {
#        queue :give_up "It would have come too late";
#    } else {
#        queue :retry "30 secs";
#    }
#}
