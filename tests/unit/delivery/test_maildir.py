"""A mail in a Maildir: what is on disk, and what is refused."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from columba.common.clock import SystemClock
from columba.common.errors import ConfigError, UnavailableError
from columba.common.ipc.spool import CHUNK, BodySource
from columba.delivery import quota
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.filing import special_uses
from columba.delivery.maildir import Filing, Letter, Maildirs
from columba.delivery.placement import BadMailboxError
from columba.delivery.settings import MailboxSection

HEADER = b"Return-Path: <other@x>\r\nSubject: hi\r\n"
LONG_NS = 1 << 62


def mail(header: bytes, body: bytes) -> Content:
    return Content(header, BodySource(len(body), body))


def letter(
    content: Content | None = None,
    *,
    path: str = "example.org/kim",
    folder: str = "",
    create: bool = False,
    flags: tuple[str, ...] = (),
    base: str = "1.AN1.host",
) -> Letter:
    body = content or mail(HEADER, b"one\r\ntwo\r\n")
    return Letter(body, b"me@x", b"kim@example.org", path, folder, create, flags, base)


def save(root: Path, item: Letter, limit: int = 0, until_ns: int = LONG_NS) -> Filing:
    return Maildirs(root, limit).save(item, Commitment(SystemClock(), until_ns))


def files(directory: Path) -> list[Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file())


def test_a_mail_is_in_new_with_lf_and_trace_fields(tmp_path: Path) -> None:
    assert save(tmp_path, letter()) is Filing.SAVED
    (path,) = files(tmp_path)
    content = path.read_bytes()
    assert content == (
        b"Return-Path: <me@x>\nDelivered-To: kim@example.org\nSubject: hi\n\none\ntwo\n"
    )
    size, lines = len(content), content.count(b"\n")
    assert path.parent == tmp_path / "example.org/kim/new"
    assert path.name == f"1.AN1.host,S={size},W={size + lines}"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_same_try_again_makes_no_second_copy(tmp_path: Path) -> None:
    save(tmp_path, letter())
    save(tmp_path, letter())
    assert len(files(tmp_path)) == 1
    save(tmp_path, letter(base="1.AN2.host"))
    assert len(files(tmp_path)) == 2


def test_line_ends_that_two_chunks_share(tmp_path: Path) -> None:
    body = b"x" * (CHUNK - 1) + b"\r\n" + b"y" * (2 * CHUNK) + b"\r\nend\r\n"
    spool = tmp_path / "spool"
    spool.write_bytes(body)
    fd = os.open(spool, os.O_RDONLY)
    try:
        content = Content(HEADER, BodySource(len(body), fd=fd))
        assert save(tmp_path / "mail", letter(content)) is Filing.SAVED
        with pytest.raises(UnavailableError, match="ends after"):
            save(tmp_path / "cut", letter(Content(HEADER, BodySource(len(body) + 1, fd=fd))))
    finally:
        os.close(fd)
    (path,) = files(tmp_path / "mail")
    assert path.read_bytes().partition(b"\n\n")[2] == body.replace(b"\r\n", b"\n")
    assert files(tmp_path / "cut") == []


def test_folders_and_flags(tmp_path: Path) -> None:
    own = tmp_path / "example.org/kim"
    assert save(tmp_path, letter(folder="Work/A")) is Filing.SAVED  # not there, may not be made
    assert [p.parent for p in files(own)] == [own / "new"]
    save(tmp_path, letter(folder="Work/A", create=True, flags=("\\Seen",)))
    made = own / ".Work.A"
    assert (made / "maildirfolder").is_file()
    assert [p.name[-4:] for p in files(made / "cur")] == [":2,S"]


@pytest.mark.parametrize("path", ["../out", "example.org/kim/cur", "example.org/kim/x"])
def test_no_way_out_and_no_way_into_another_mailbox(tmp_path: Path, path: str) -> None:
    save(tmp_path / "root", letter())
    with pytest.raises(BadMailboxError):
        save(tmp_path / "root", letter(path=path))
    assert len(files(tmp_path)) == 1


def test_users_named_as_the_parts_of_a_maildir_close_no_domain(tmp_path: Path) -> None:
    for user in ("tmp", "new", "cur", "kim"):
        assert save(tmp_path, letter(path=f"example.org/{user}")) is Filing.SAVED
    for path in ("example.org/kim/x", "example.org/cur/cur", "example.org/new/x"):
        with pytest.raises(BadMailboxError):
            save(tmp_path, letter(path=path))


def test_a_mail_that_was_here_before_is_a_loop(tmp_path: Path) -> None:
    looped = mail(b"Delivered-To: Kim@Example.org\r\n" + HEADER, b"x\r\n")
    assert save(tmp_path, letter(looped)) is Filing.LOOPED
    other = mail(b"Delivered-To: else@example.org\r\n" + HEADER, b"x\r\n")
    assert save(tmp_path, letter(other)) is Filing.SAVED


def test_past_its_deadline_nothing_is_left(tmp_path: Path) -> None:
    assert save(tmp_path, letter(), until_ns=0) is Filing.LATE
    assert files(tmp_path) == []
    closed = Commitment(SystemClock(), LONG_NS)
    assert closed.close() is True
    assert Maildirs(tmp_path).save(letter(), closed) is Filing.LATE


def test_quota(tmp_path: Path) -> None:
    own = tmp_path / "example.org/kim"
    assert save(tmp_path, letter(), 200) is Filing.SAVED
    assert (own / quota.FILE).is_file()
    assert save(tmp_path, letter(base="2.AN1.host"), 200) is Filing.SAVED
    assert save(tmp_path, letter(base="3.AN1.host"), 200) is Filing.OVER_QUOTA
    mails = sorted((own / "new").iterdir())
    assert quota.count(own) == quota.Usage(sum(p.stat().st_size for p in mails), 2)
    mails[0].unlink()  # by a reader that does not know the file
    assert save(tmp_path, letter(base="4.AN1.host"), 200) is Filing.SAVED
    assert save(tmp_path, letter(base="5.AN1.host"), 10_000) is Filing.SAVED  # another limit


def test_a_damaged_quota_file_is_made_anew(tmp_path: Path) -> None:
    save(tmp_path, letter())
    own = tmp_path / "example.org/kim"
    for text in ("junk", "200S\nx y\n", "200S\n" + " 1 1\n" * 2000, ""):
        (own / quota.FILE).write_text(text)
        assert quota.has_room(own, 1, 200)
        assert (own / quota.FILE).read_text().startswith("200S\n")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, chunks: Iterator[bytes]) -> None:
        raise OSError(28, f"No space left on device: {path} {len(list(chunks))}")

    monkeypatch.setattr("columba.delivery.maildir.write_synced", full)
    assert save(tmp_path, letter()) is Filing.NO_SPACE


USES = {"\\junk": ("Junk", "Spam")}


def test_a_folder_is_found_by_its_use(tmp_path: Path) -> None:
    """RFC 8579 §4: a folder of that use is taken, else the one that is named, as if there were no use."""
    maildirs = Maildirs(tmp_path, uses=USES)
    forever = Commitment(SystemClock(), LONG_NS)
    letters = [
        replace(letter(base=f"{n}.N1.host", folder=folder, create=create), use=use)
        for n, (folder, create, use) in enumerate(
            [
                ("Other", False, "\\Junk"),
                ("Spam", True, ""),
                ("Other", True, "\\JUNK"),
                ("Odd", True, "\\Odd"),
            ]
        )
    ]
    for each in letters:
        assert maildirs.save(each, forever) is Filing.SAVED
    home = tmp_path / "example.org/kim"
    places = [len(files(home / name)) for name in ("new", ".Spam/new", ".Odd/new")]
    assert places == [1, 2, 1] and not (home / ".Other").exists()


def test_which_folders_are_there(tmp_path: Path) -> None:
    maildirs = Maildirs(tmp_path, uses=USES)
    path = "example.org/kim"

    def has(folder: str, use: str = "") -> bool:
        return maildirs.has_folder(path, folder, use)

    assert has("inbox") and not has("Spam") and not has("", "\\Junk")
    maildirs.save(letter(folder="Spam", create=True), Commitment(SystemClock(), LONG_NS))
    assert has("Spam") and has("", "\\Junk") and has("Spam", "\\jUNK")
    assert not has("INBOX", "\\Junk") and not has("Junk") and not has("", "\\Sent")
    for odd in ("..", "a/../../b", "x\0y", "z" * 300):
        assert not has(odd)
    assert not maildirs.has_folder("../etc", "INBOX", "")


def test_uses_come_from_the_configuration() -> None:
    junk = MailboxSection(special_use=["\\Junk"])
    assert special_uses({"Bulk": junk, "Spam": junk}) == {"\\junk": ("Bulk", "Spam")}
    assert special_uses({})["\\junk"][0] == "Junk"
    for name, uses in (("a..b", ["\\Junk"]), ("Junk", ["Junk"])):
        with pytest.raises(ConfigError):
            special_uses({name: MailboxSection(special_use=uses)})
