"""What the fuzzing of the Sieve engine has in common: any script on any message, to the mail that is sent."""

from pathlib import Path as FilePath
from typing import Final

from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.ext.registry import language
from columba.sieve.lang.errors import ScriptError
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.machine import Failed, Finished, Inputs, Machine, Outcome, Script
from columba.sieve.run.message import message_of
from columba.sieve.svtest.deliver import execute
from columba.sieve.svtest.scripts import drive
from columba.sieve.svtest.suite import Suite, derived_envelope
from tests.fakes.sieve import Clock

LIMITS: Final = Limits(
    options={
        "sieve_spamtest_status_header": "X-A",
        "sieve_spamtest_score_max_value": "10",
        "sieve_vacation_check_recipient": "no",
        "sieve_user_email": "me@b.example",
    }
)
# Looks at everything that a message has, edits it, and sends and stores what it can.
EVERYTHING: Final = r"""
require ["fileinto", "variables", "envelope", "copy", "relational", "subaddress", "environment",
    "comparator-i;ascii-numeric", "encoded-character", "body", "date", "index", "regex", "mime",
    "foreverypart", "extracttext", "editheader", "imap4flags", "vacation", "enotify", "spamtest",
    "spamtestplus", "duplicate", "replace", "enclose", "vnd.dovecot.report", "mailbox", "fcc",
    "vnd.columba.mailauth"];
if header :matches ["subject", "from", "x-a"] ["*<*>*", "?*", "*"] {
    set :upperfirst :quotewildcard "a" "${1}${2}";
    set :length "b" "${0}";
}
if header :regex ["subject", "x-a"] "(.*) ([^ ]+)$" { set :quoteregex "c" "${1}${2}"; }
if address :matches :localpart ["from", "to", "cc"] "*" { set :encodeurl "d" "${1}"; }
if address :detail :contains ["from", "to"] "" { set "e" "x"; }
if header :comparator "i;unicode-casemap" :matches "subject" "*é?" { set "g" "${1}"; }
if header :count "ge" ["received", "to"] "1" { set "e" "${e}${a}"; }
if header :value "lt" :comparator "i;ascii-numeric" "x-a" "5" { set "f" "x"; }
if header :index 1 :last :contains :comparator "i;octet" "subject" "${a}" { set "g" "${hex:ff}"; }
if allof (exists ["from", "to"], size :over 10) { fileinto :copy :create "${b}x"; }
if envelope :domain :is "to" ["b.example", "${c}"] { redirect :copy "a@b.example"; }
if anyof (body :raw :contains "${a}", body :text :matches "*a*", body :content "" :regex "x+$") {
    set "h" "1";
}
if anyof (date "date" "std11" "x", date :originalzone "received" "julian" "${b}",
    date :zone "${c}" :index 1 "date" "iso8601" "y") { set "h" "2"; }
if header :mime :anychild :param ["name", "charset"] :matches "Content-Type" "*" { set "i" "${1}"; }
if header :mime :anychild :contenttype ["Content-Type", "Content-Disposition"] "text/html" { setflag "$h"; }
if anyof (address :mime :anychild "from" "a@b", exists :mime :anychild "x-a") { addflag "${i}"; }
if spamtest :value "ge" :comparator "i;ascii-numeric" :percent "50" { addflag "junk"; }
if not duplicate :header "message-id" { set "j" "new"; }
foreverypart :name "all" {
    extracttext :first 20 :upper "k";
    if header :mime :subtype "content-type" "html" { replace "${k}"; }
    foreverypart { if exists :mime "x-stop" { break :name "all"; } }
}
if anyof (spf :as "l" :matches "f*", spf :helo :count "gt" "3", dkim :domain "${a}" :as "m" "pass",
    dmarc :policy ["reject", "none"] :as "n" "fail", arc :domain "${b}" "pass") { set "j" "${l}${m}${n}"; }
addheader "X-Seen" "${a} ${k}";
deleteheader :contains "subject" "${b}";
deleteheader :index 1 :last "x-a";
notify :message "${a}${k}" "mailto:n@b.example?subject=x";
report "abuse" "${k}" "r@b.example";
vacation :subject "${a}" :handle "${b}" :addresses "${d}" "${k}${h}";
enclose :subject "${a}" :headers ["X-B: ${k}"] "${d}";
fileinto :copy :flags "${i} a" :create "${a}";
keep;
"""


def compiled_or_errors(octets: bytes, stage: Stage) -> Script | CompileErrors:
    """Compile any octets, and hold that errors have places and can be shown."""
    result = compile_script(octets, "fuzz", stage, limits=LIMITS)
    errors = result.errors if isinstance(result, CompileErrors) else ()
    for error in (*errors, *result.warnings):
        assert error.position.line >= 1
        assert error.position.column >= 1
        error.render()
    if isinstance(result, CompileErrors):
        assert result.errors
        assert result.render().splitlines()[-1].startswith("fuzz:")
    return result


def outcome_of_message(script: Script, octets: bytes) -> Outcome:
    """Run a script on any octets as a message, and carry out what it decides in the pretended world."""
    message = message_of(octets)
    suite = Suite(FilePath("/nowhere/x.svtest"), language(), [], {}, base=message, limits=LIMITS)
    machine = Machine(
        script,
        Inputs(
            clock=Clock(),
            message=message,
            envelope=derived_envelope(message),
            limits=LIMITS,
            host=suite,
            wall_s=1e9,
        ),
    )
    outcome = drive(machine, suite.pretended, suite.world)
    match outcome:
        case Finished(variables=variables):
            texts = [*variables.values(), *map(repr, outcome.actions)]
            assert all(text.encode() is not None for text in texts)  # what leaves is UTF-8
            execute(machine.run)
            for sent in suite.world.outbox:
                assert isinstance(sent.octets, bytes)
        case Failed(error=error):
            assert isinstance(error, ScriptError)
            error.render()
    return outcome
