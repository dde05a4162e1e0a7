"""Run the comparisons, one after the other, and print and keep what they show."""

import argparse
import base64
import contextlib
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import queueing, report, script
from bench.load import Series, median_ms, messages_per_second
from bench.soak import CLIENTS, soak
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers, open_folder
from tests.peers.process import PATH, run, wait_until
from tests.peers.sink import Sink, smtp_source

WARM_UP = 200
GROUP_S = 600
NEEDED = ("postfix", "opendkim", "smtp-source", "smtp-sink", "openssl")
RSA_2048 = 256  # octets of a signature
Measure = Callable[[], float]


def take_turns(sides: list[tuple[Series, Measure]], rounds: int) -> None:
    """Measure A B A B …, so that a change of the machine's speed hits both."""
    for _ in range(rounds):
        for series, measure in sides:
            series.values.append(measure())
    for series, _ in sides:
        print(f"  {series}", flush=True)


def start_columba(peers: Peers, sink: Sink, name: str) -> Stack:
    """Start Columba that relays everything to the sink, signed."""
    return peers.keep(Stack(peers.folder / name, Options(relay=f"127.0.0.1:{sink.port}")))


def throughput(
    ways: dict[str, tuple[int, Sink]], messages: int, rounds: int
) -> tuple[Series, Series]:
    """Measure two servers (port, sink that their mail ends in) in turn after a warm-up."""
    sides: list[tuple[Series, Measure]] = []
    for name, (port, sink) in ways.items():
        messages_per_second(port, sink, min(messages, WARM_UP))
        sides.append((Series(name), partial(messages_per_second, port, sink, messages)))
    take_turns(sides, rounds)
    return sides[0][0], sides[1][0]


def chain(peers: Peers, messages: int, rounds: int) -> report.Row:
    """Compare the chain without a signature with bare Postfix.

    All mail that leaves Columba is signed; what is not goes out by LMTP, so its sink speaks that.
    """
    sink, lmtp_sink = peers.sink(dump=False), peers.sink(dump=False, lmtp=True)
    route = f'require "vnd.columba.route";\nroute :lmtp "[127.0.0.1]" :port {lmtp_sink.port};\n'
    columba = peers.keep(Stack(peers.folder / "plain", Options(scripts={"route": route})))
    postfix = peers.postfix(relay=f"127.0.0.1:{sink.port}")
    ways = {"columba": (columba.ports["smtp"], lmtp_sink), "postfix": (postfix.port, sink)}
    ours, peer = throughput(ways, messages, rounds)
    return report.faster("chain, unsigned", ours.median, peer.median, "Postfix", 2.0)


def signed_chain(peers: Peers, messages: int, rounds: int) -> report.Row:
    """Compare the chain with an RSA-2048 signature with Postfix and OpenDKIM."""
    judge = peers.sink()
    columba = start_columba(peers, judge, "signed")
    key = peers.folder / "opendkim.pem"
    run(["openssl", "genrsa", "-out", str(key), "2048"])
    milter = peers.signing_milter("sender.test", "s1", key)
    postfix = peers.postfix(relay=f"127.0.0.1:{judge.port}", settings=milter.postfix_settings)
    require_signatures(judge, [columba.ports["smtp"], postfix.port])
    judge.stop()
    sink = peers.sink(dump=False, port=judge.port)
    ways = {"columba": (columba.ports["smtp"], sink), "postfix+opendkim": (postfix.port, sink)}
    ours, peer = throughput(ways, messages, rounds)
    return report.faster("chain, RSA-2048", ours.median, peer.median, "Postfix + OpenDKIM", 4.0)


def require_signatures(judge: Sink, ports: list[int]) -> None:
    """Send a mail through each and see that it arrives with an RSA-2048 signature."""
    for port in ports:
        smtp_source(port)
    wait_until(lambda: judge.count() == len(ports), "a mail from each server")
    for mail in judge.mails():
        if signature_octets(mail.headers) != RSA_2048:
            raise RuntimeError(f"no RSA-2048 signature: {mail.headers.decode(errors='replace')}")


def signature_octets(headers: bytes) -> int:
    """Return the length of the first DKIM signature, 0 if there is none."""
    for field in re.sub(rb"\r?\n[ \t]+", b"", headers).splitlines():
        name, _, value = field.partition(b":")
        if name.lower() == b"dkim-signature":
            tags = dict(tag.strip().partition(b"=")[::2] for tag in value.split(b";"))
            return len(base64.b64decode(tags[b"b"]))
    return 0


def one_client(peers: Peers, messages: int, rounds: int) -> report.Row:
    """Compare the time of one mail through the chain with that of the sink alone."""
    sink = peers.sink(dump=False)
    columba = start_columba(peers, sink, "single")
    count = max(20, messages // 10)
    sides: list[tuple[Series, Measure]] = []
    for name, port in (("columba", columba.ports["smtp"]), ("sink", sink.port)):
        median_ms(port, 20)
        sides.append((Series(name), partial(median_ms, port, count)))
    take_turns(sides, rounds)
    ours, peer = sides[0][0].median, sides[1][0].median
    return report.added("one client, time added", ours, peer, "smtp-sink alone", 3.0)


def typical_script(peers: Peers, messages: int, rounds: int) -> report.Row:
    """Measure one run of a typical Sieve script, compiled, in this process."""
    series = Series("a run of 20 lines")
    take_turns([(series, script.run_us)], rounds)
    return report.within("Sieve script, 20 lines, 10 KB", series.median, "µs", 150.0)


COMPARISONS = {
    "script": typical_script,
    "signed": signed_chain,
    "unsigned": chain,
    "single": one_client,
}
QUEUE = {
    "queue-file": queueing.file_rows,
    "queue-s3": queueing.s3_rows,
    "takeover": queueing.takeover_rows,
    "million": queueing.million_rows,
}


class LateError(Exception):
    """A group took longer than it may."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End what is measured after so many seconds, whatever it waits for."""

    def ring(number: int, frame: object) -> None:
        raise LateError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def group(name: str, messages: int, rounds: int) -> list[report.Row]:
    """Measure one group with all that it needs, and clean up; no rows when it fails."""
    began = time.monotonic()
    print(f"{name}:", flush=True)
    found: list[report.Row] = []
    try:
        with limited(GROUP_S), open_folder() as folder, contextlib.ExitStack() as stack:
            found = measured(name, Peers(folder, stack), messages, rounds)
    except (LateError, TimeoutError, RuntimeError, AssertionError, OSError) as error:
        print(f"  failed: {type(error).__name__}: {str(error)[:2000]}", flush=True)
    for row in found:
        print(f"  {row}", flush=True)
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return found


def measured(name: str, peers: Peers, messages: int, rounds: int) -> list[report.Row]:
    """Return the rows of one comparison."""
    if name in QUEUE:
        return QUEUE[name](peers, messages, rounds)
    return [COMPARISONS[name](peers, messages, rounds)]


def run_soak(clients: int, seconds: float, out: Path) -> int:
    """Hold idle clients while others send; write the rows; 1 if a goal was missed."""
    with open_folder() as folder, contextlib.ExitStack() as stack:
        rows = soak(Peers(folder, stack), clients, seconds)
    for row in rows:
        print(f"  {row}", flush=True)
    report.write(rows, out)
    return 0 if all(row.met for row in rows) else 1


def main() -> int:
    """Parse arguments, compare, write the file; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=4000, help="mails in one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    parser.add_argument(
        "--only", choices=sorted({**COMPARISONS, **QUEUE}), action="append", default=[]
    )
    parser.add_argument("what", nargs="?", choices=["compare", "soak"], default="compare")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="idle clients of the soak")
    parser.add_argument("--seconds", type=float, default=20.0, help="time that its senders send")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="file of the results")
    wanted = parser.parse_args()
    if wanted.what == "soak":
        return run_soak(wanted.clients, wanted.seconds, wanted.out)
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 69
    has_met = True
    for name in wanted.only or [*COMPARISONS, *QUEUE]:
        rows = group(name, wanted.messages, wanted.rounds)
        report.write(rows, wanted.out)
        has_met = has_met and bool(rows) and all(row.met for row in rows)
    return 0 if has_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
