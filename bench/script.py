"""Measure the Sieve machine alone: a typical script of 20 lines against a mail of 10 KB."""

import time
from statistics import median
from typing import Final

from columba.common.mail.header import Header
from columba.sieve.engine import CompileErrors, Finished, Inputs, begin, compile_script
from columba.sieve.lang.stage import Stage
from columba.sieve.run.envelope import Envelope, Path
from columba.sieve.run.message import Message

SCRIPT: Final = b"""\
require ["fileinto", "envelope", "variables", "subaddress", "relational", "copy", "reject"];
require "comparator-i;ascii-numeric";
if header :contains ["x-spam-flag", "x-spam-status"] "YES" {
    fileinto "Junk";
    stop;
}
if anyof (header "list-id" "<dev.example.org>", address ["to", "cc"] "dev@lists.example.org") {
    fileinto "lists";
} elsif header :matches "subject" "[*] *" {
    set :lower "tag" "${1}";
    fileinto "tags.${tag}";
} elsif allof (address :domain "from" ["example.com", "example.net"], not exists "x-bulk") {
    keep;
} elsif envelope :detail :matches "to" "*" {
    fileinto "plus.${1}";
} elsif size :over 1M {
    reject "too big";
} elsif header :value "ge" :comparator "i;ascii-numeric" "x-priority" "2" {
    redirect :copy "archive@example.org";
}
"""
_RECEIVED: Final = (
    b"Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n"
    b"\tby mx.example.org with ESMTPS id 4XyZ%d\r\n"
    b"\tfor <user@example.org>; Tue, 1 Apr 2025 09:06:3%d +0000 (UTC)\r\n"
)
HEADER: Final = b"".join(_RECEIVED % (n, n, n, n, n) for n in range(4)) + (
    b'From: "Ann Example" <ann@sender.example>\r\n'
    b'To: User Name <user@example.org>, "Other, Person" <other@example.com>\r\n'
    b"Cc: team@example.org\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and minutes of the meeting\r\n"
    b"Date: Tue, 1 Apr 2025 09:06:31 +0000\r\n"
    b"Message-ID: <abc.def@sender.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"X-Mailer: test 1.0\r\n"
    b"X-Priority: 3\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=x;\r\n"
    b"\th=from:to:subject; bh=" + b"A" * 43 + b"=;\r\n\tb=" + b"B" * 86 + b"\r\n"
)
MAIL_SIZE: Final = 10_240
RUNS: Final = 2000


def run_us() -> float:
    """Return the median time of one run in microseconds, from the octets of the header to the actions."""
    script = compile_script(SCRIPT, "typical.sieve", Stage.DELIVERY)
    if isinstance(script, CompileErrors):
        raise RuntimeError(script.render())
    envelope = Envelope(Path("ann", "sender.example"), (Path("user", "example.org"),))
    taken: list[float] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        message = Message(Header(HEADER), MAIL_SIZE)
        machine = begin(
            script, Inputs(clock=time.thread_time_ns, message=message, envelope=envelope)
        )
        event = machine.step()
        taken.append(time.perf_counter() - started)
        if not isinstance(event, Finished) or len(event.actions) != 1:
            raise RuntimeError(f"the script did something else: {event}")
    return median(taken) * 1e6
