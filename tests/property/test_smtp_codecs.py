"""Whatever comes, the codecs give an event or a protocol error; what is written reads back the same."""

import re
import struct
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given, settings
from hypothesis import strategies as st

from columba.common.errors import RemoteProtocolError
from columba.common.net.proxy import SIGNATURE, Proxied, ProxyReader
from columba.common.smtp.chunk import ChunkReceiver
from columba.common.smtp.client import ClientConnection, ClientWait
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import (
    DATA,
    Auth,
    Bdat,
    Claim,
    Command,
    Hello,
    Mail,
    Rcpt,
    Simple,
    Verb,
    format_command,
    parse_command,
)
from columba.common.smtp.data import BareNewline, DataReceiver, DataSender, HeaderCut
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.params import MailParams, RcptParams, decode_xtext, encode_xtext
from columba.common.smtp.reply import ReplyParser
from tests.fakes.smtp_fuzz import hear_anything, say_anything
from tests.fakes.smtp_peer import MORE, OFFER, FakeServer

WORDS = st.sampled_from(
    [b"EHLO x", b"HELO", b"LHLO x", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA", b"AUTH PLAIN",
     b"STARTTLS", b"RSET", b"QUIT", b".", b"\r\n", b"\r", b"\n", b"\r\n.\r\n", b" SIZE=1", b"*", b"\0", b"\xff",
     b"MAIL FROM:<a@b.example> PRDR\r\n", b"RCPT TO:<full@d.example>\r\n", b"BDAT 4\r\n", b"BDAT 2 LAST\r\n",
     b"BDAT 0 LAST\r\n"]
)  # fmt: skip
ALL = Extensions({**OFFER.offered, **MORE.offered})
STREAM = st.lists(WORDS | st.just(b"\r\n") | st.binary(max_size=20), max_size=40)
ATOM = st.from_regex(rb"[a-z0-9!#$%]{1,10}(\.[a-z]{1,5}){0,2}", fullmatch=True)
DOMAIN = st.from_regex(rb"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){0,3}", fullmatch=True)
ADDRESS = st.builds(lambda local, domain: local + b"@" + domain, ATOM, DOMAIN)
MAIL_PARAMS = st.builds(
    MailParams,
    size=st.none() | st.integers(0, 10**19),
    body=st.sampled_from(["", "7BIT", "8BITMIME"]),
    smtputf8=st.booleans(),
    ret=st.sampled_from(["", "FULL", "HDRS"]),
    envid=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.encode),
    auth=st.sampled_from([b"", b"<>"]) | ADDRESS,
    prdr=st.booleans(),
    requiretls=st.booleans(),
    hold_for_s=st.none() | st.integers(0, 999_999_999),
)
HELD_PARAMS = st.builds(MailParams, hold_until_s=st.integers(0, 4_000_000_000).map(float))
NOTIFY = st.sampled_from([(), ("NEVER",), ("SUCCESS",), ("FAILURE", "DELAY")])
RCPT_PARAMS = (
    st.builds(RcptParams, notify=NOTIFY)
    | st.builds(
        RcptParams,
        notify=NOTIFY,
        orcpt_type=st.just("rfc822"),
        orcpt=st.binary(min_size=1, max_size=100).map(
            lambda text: bytes(c | 32 for c in text if c != 127) or b"x"
        ),
    )
    | st.builds(
        RcptParams,
        orcpt_type=st.sampled_from(["utf-8", "UTF-8"]),
        orcpt=st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30
        ).map(str.encode),
    )
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(Mail, ADDRESS | st.just(b""), MAIL_PARAMS | HELD_PARAMS),
    st.builds(Bdat, st.integers(0, 10**17), st.booleans()),
    st.builds(Rcpt, ADDRESS, RCPT_PARAMS),
    st.builds(Hello, st.sampled_from([Verb.HELO, Verb.EHLO, Verb.LHLO]), DOMAIN),
    st.builds(Auth, st.just("PLAIN"), st.sampled_from([None, b"", b"AGEAYg=="])),
    st.builds(
        Claim,
        st.just(Verb.XFORWARD),
        st.lists(
            st.tuples(
                st.sampled_from(["NAME", "HELO"]), st.text("a b+=[]", max_size=9).map(str.encode)
            ),
            min_size=1,
        ).map(tuple),
    ),
    st.just(DATA),
    st.builds(Simple, st.just(Verb.VRFY), ATOM),
)
MESSAGE = st.lists(st.sampled_from([b".", b"a", b": ", b" ", b"\r\n"]), max_size=40).map(b"".join)


@given(STREAM, st.booleans(), st.integers(1, 50))
@settings(max_examples=300, deadline=None)
def test_server_survives_anything(parts: list[bytes], lmtp: bool, size: int) -> None:
    say_anything(b"".join(parts), size, lmtp)


@given(STREAM, st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_splits_change_nothing(parts: list[bytes], size: int) -> None:
    text = b"".join(parts).upper().replace(b"STARTTLS", b"NOOP")
    whole, split = FakeServer(offer=ALL), FakeServer(offer=ALL)
    whole.feed(text)
    for at in range(0, len(text), size):
        split.feed(text[at : at + size])
    assert (whole.output, whole.mails) == (split.output, split.mails)


@given(
    st.lists(
        st.sampled_from([b"250 x", b"250-x", b"354 ", b"421 ", b"220", b"\r\n", b"\n"])
        | st.binary(max_size=8)
    )
)
@settings(max_examples=300, deadline=None)
def test_client_survives_anything(parts: list[bytes]) -> None:
    client = ClientConnection()
    client.hello(b"me")
    client.enqueue(Mail(b""), Rcpt(b"a@b.example"), DATA)
    try:
        for part in (b"220 x\r\n250-x\r\n250 PIPELINING\r\n", *parts):
            client.receive(part)
            while not isinstance(client.next_event(), ClientWait):
                client.data_to_send()
    except RemoteProtocolError as problem:
        assert str(problem)


REPLIES = st.lists(
    st.sampled_from(
        [b"250 x\r\n", b"250-x\r\n", b"250-CHUNKING\r\n", b"250-PRDR\r\n", b"250 PIPELINING\r\n",
         b"353 each\r\n", b"354 go\r\n", b"334 \r\n", b"421 bye\r\n", b"550 no\r\n", b"450 no\n", b"220 x\r\n"]
    )
    | st.binary(max_size=12),
    max_size=30,
)  # fmt: skip


@given(REPLIES, st.booleans(), st.integers(1, 40))
@settings(max_examples=400, deadline=None)
def test_whatever_a_hop_says_a_client_gets_events_or_an_error(
    replies: list[bytes], lmtp: bool, size: int
) -> None:
    hear_anything(b"".join(replies), size, lmtp)


@given(COMMANDS)
@settings(deadline=None)
def test_commands_read_back(command: Command) -> None:
    line = format_command(command)
    assert line.endswith(b"\r\n")
    assert parse_command(line[:-2], ALL.offered) == command


@given(
    st.integers(200, 599),
    st.booleans(),
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
        min_size=1,
        max_size=5,
    ),
)
@settings(deadline=None)
def test_replies_read_back(code: int, enhanced: bool, lines: list[str]) -> None:
    status = f"{code // 100}.1.0" if enhanced and code // 100 != 3 else ""
    reply, parser = Reply(code, status, tuple("x" + line for line in lines)), ReplyParser()
    *head, last = reply.encode().removesuffix(b"\r\n").split(b"\r\n")
    assert [parser.feed(line) for line in head] == [None] * len(head)
    assert parser.feed(last) == reply


@given(st.binary(max_size=100))
@settings(deadline=None)
def test_xtext(text: bytes) -> None:
    assert decode_xtext(encode_xtext(text)) == text


@given(MESSAGE, st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None)
def test_dots_on_and_off(message: bytes, out_size: int, in_size: int) -> None:
    sender, receiver, found = DataSender(), DataReceiver(1000), b""
    wire = b"".join(
        sender.send(message[n : n + out_size]) for n in range(0, len(message), out_size)
    )
    wire += sender.finish()
    for at in range(0, len(wire), in_size):
        content, rest = receiver.feed(wire[at : at + in_size])
        found += content
        assert (rest is None) == (at + in_size < len(wire))
    assert found == message + (b"" if message.endswith(b"\r\n") or not message else b"\r\n")


@given(MESSAGE, st.integers(1, 9))
@settings(deadline=None)
def test_header_cut_loses_nothing(message: bytes, size: int) -> None:
    message += b"\r\n"
    whole, cut = HeaderCut(), HeaderCut()
    body = whole.feed(message) + whole.finish()
    again = b"".join(cut.feed(message[n : n + size]) for n in range(0, len(message), size))
    again += cut.finish()
    assert (whole.header, body) == (cut.header, again)
    assert message in (whole.header + body, whole.header + b"\r\n" + body)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"]), max_size=30).map(b"".join),
    st.lists(st.integers(0, 9), max_size=9),
    st.sampled_from(BareNewline),
)
@settings(deadline=None)
def test_chunks_make_one_message_however_they_are_cut(
    message: bytes, cuts: list[int], mode: BareNewline
) -> None:
    receiver, found, rest = ChunkReceiver(1000, mode), b"", message
    for size in cuts:
        part, rest = rest[:size], rest[size:]
        receiver.begin(len(part), is_last=False)
        found += receiver.feed(part)
    receiver.begin(len(rest), is_last=True)
    found += receiver.feed(rest)
    wanted = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    wanted += b"" if wanted.endswith(b"\r\n") or not wanted else b"\r\n"
    is_bare = mode is BareNewline.REJECT and bool(re.search(rb"\r(?!\n)|(?<!\r)\n", message))
    assert receiver.bare_newline == is_bare
    assert is_bare or (found, receiver.size) == (wanted, len(wanted))


@given(
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.ip_addresses(),
    st.binary(max_size=20),
    st.booleans(),
)
@settings(deadline=None)
def test_proxy_headers_read_back(
    port: int, local_port: int, ip: IPv4Address | IPv6Address, tlvs: bytes, is_line: bool
) -> None:
    if is_line:
        text = f"PROXY TCP{ip.version} {ip} {ip} {port} {local_port}\r\n".encode()
    else:
        ends = ip.packed * 2 + struct.pack("!HH", port, local_port) + tlvs
        family = 0x11 if ip.version == 4 else 0x21
        text = SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(ends)) + ends
    reader, rest = ProxyReader(), text + b"EHLO"
    while reader.wants:
        part, rest = rest[: reader.wants], rest[reader.wants :]
        reader.feed(part)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    shown = str(mapped or ip)
    assert (rest, reader.result) == (b"EHLO", Proxied(True, shown, port, shown, local_port))


PIECES = st.sampled_from(
    [SIGNATURE, b"PROXY ", b"TCP4 ", b"1.2.3.4 ", b"1 ", b"\r\n", b"\x21\x11\0"]
) | st.binary(max_size=9)


@given(st.lists(PIECES))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_a_proxy_header_or_an_error(parts: list[bytes]) -> None:
    reader, rest = ProxyReader(), b"".join(parts)
    try:
        while reader.wants and rest:
            size = min(reader.wants, len(rest))
            reader.feed(rest[:size])
            rest = rest[size:]
    except RemoteProtocolError:
        return
    assert (reader.result is None) == bool(reader.wants)
