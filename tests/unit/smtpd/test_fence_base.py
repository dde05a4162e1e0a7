"""What makes two tries the same mail, and what does not."""

import pytest

from columba.common.mail.header import Header
from columba.smtpd.fence import fence_base, who

HEADER = b"Message-ID: <1@x>\r\nDate: today\r\nFrom: a@x\r\nSubject: s\r\nX-Try: 1\r\n"


def base(
    login: str = "",
    ip: str = "192.0.2.1",
    sender: bytes = b"a@X",
    head: bytes = HEADER,
    body: bytes = b"h",
) -> bytes:
    return fence_base(login, ip, sender, Header(head), body)


def test_the_same_try_has_the_same_base() -> None:
    assert base() == base(
        ip="192.0.2.77", sender=b"a@x", head=HEADER.replace(b"X-Try: 1", b"X-Try: 2")
    )
    assert len(base()) == 32


@pytest.mark.parametrize(
    "other",
    [
        base(login="u"),
        base(ip="192.0.3.1"),
        base(sender=b"b@x"),
        base(sender=b""),
        base(head=HEADER.replace(b"<1@x>", b"<2@x>")),
        base(head=HEADER.replace(b"today", b"now")),
        base(head=HEADER.replace(b"Subject: s\r\n", b"")),
        base(head=HEADER + b"Subject: s\r\n"),
        base(body=b"i"),
    ],
)
def test_another_mail_has_another_base(other: bytes) -> None:
    assert other != base()


def test_without_message_id_nothing_matches() -> None:
    assert base(head=b"From: a@x\r\n") == b""


def test_who() -> None:
    assert who("u", "192.0.2.1") == "login:u"
    assert who("", "::ffff:192.0.2.9") == "net:192.0.2.0/24"
    assert who("", "2001:db8::1:2:3:4") == who("", "2001:db8::9")
    assert who("", "") == "local"
