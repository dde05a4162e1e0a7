"""Read dialogue scripts: what a client sends, what a server must answer."""

import codecs
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Dialogue:
    name: str
    lmtp: bool
    client: bytes
    server: bytes


def load(path: Path) -> list[Dialogue]:
    """Return the dialogues of a file; its head says how it is written."""
    found: list[Dialogue] = []
    for block in ("\n" + path.read_text()).split("\n== ")[1:]:
        name, *lines = block.rstrip("\n").split("\n")
        client = b"".join(_client(line) for line in lines)
        server = b"".join(line[3:].encode() + b"\r\n" for line in lines if line[:2] == "S:")
        found.append(Dialogue(name, "[lmtp]" in name, client, server))
    return found


def _client(line: str) -> bytes:
    if line.startswith("C:"):
        return line[3:].encode() + b"\r\n"
    if line.startswith("c:"):
        return codecs.escape_decode(line[3:].encode())[0]
    return b""
