"""Names that senders choose never leave the mail root."""

import pytest

from columba.delivery.placement import (
    BadMailboxError,
    base_name,
    file_name,
    folder_name,
    mailbox_parts,
)


def test_a_plain_path() -> None:
    assert mailbox_parts("example.org/jürgen") == ("example.org", "jürgen")
    assert mailbox_parts("new") == ("new",)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/etc", "a//b", "a/", "..", "a/../b", "a/..", ".", "./a", "a/.Junk", "a\0b", "a\nb",
        "a/" + "x" * 201, "\udc80", "/".join("x" * 100 for _ in range(9)),
    ],
)  # fmt: skip
def test_a_path_that_would_lead_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(BadMailboxError):
        mailbox_parts(path)


@pytest.mark.parametrize(
    ("folder", "directory"),
    [
        ("", ""), ("INBOX", ""), ("inbox", ""),
        ("Junk", ".Junk"), ("Work/Letters", ".Work.Letters"), ("Work.Letters", ".Work.Letters"),
        ("A & B", ".A &- B"), ("Entwürfe", ".Entw&APw-rfe"), ("日本", ".&ZeVnLA-"),
    ],
)  # fmt: skip
def test_folders_are_directories_of_maildir_plus_plus(folder: str, directory: str) -> None:
    assert folder_name(folder) == directory


@pytest.mark.parametrize(
    "folder", ["..", "/etc", "a/../b", "a..b", ".hidden", "a\nb", "x" * 201, "ü" * 99]
)
def test_a_folder_that_would_lead_elsewhere_is_refused(folder: str) -> None:
    with pytest.raises(BadMailboxError):
        folder_name(folder)


def test_names_of_files() -> None:
    base = base_name(1700000000.9, "01HZ", "3.1", "mx/1.example:25")
    assert base == "1700000000.01HZN3_1.mx\\0571.example\\07225"
    assert file_name(base, 10, 12, ()) == ("new", f"{base},S=10,W=12")
    assert file_name("b", 1, 2, ("\\Seen", "\\flagged", "$work")) == ("cur", "b,S=1,W=2:2,FS")
