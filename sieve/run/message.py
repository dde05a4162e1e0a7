"""The message as scripts see it.

Pure. An immutable view: an edit makes another Message, so that an action keeps the one it was given.
Everything is decoded when it is first asked for, and then remembered.
"""

from collections.abc import Callable, Sequence

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.header import Field, Header
from columba.common.mail.mime import Structure, walk
from columba.common.mail.words import decode_words

Body = Callable[[], bytes]


def no_body() -> bytes:
    """Stand for the body of a message that has none, not even the empty line before it."""
    return b""


Reading = Mailbox | str


def read_addresses(field: Field) -> Sequence[Reading]:
    """Return the mailboxes in a field; its text, which may be empty, if it holds something else than addresses."""
    boxes = parse_mailboxes(field.value)
    if boxes:
        return boxes
    return (decode_words(field.unfolded),)


class Message:
    """A header and the size of the whole in octets. Names of fields are in lower case.

    read_body gives what follows the empty line; it is called only if a script needs it.
    flags: IMAP flags that it has in a store. is_rewritten: a script gave it another body. enclosed: the message that
    it encloses by a script's wish, which is what a redirect sends on (RFC 5703 §6).
    """

    __slots__ = (
        "_addresses",
        "_readings",
        "_structure",
        "_texts",
        "enclosed",
        "flags",
        "header",
        "is_rewritten",
        "read_body",
        "size",
    )

    def __init__(
        self,
        header: Header,
        size: int,
        read_body: Body = no_body,
        flags: tuple[str, ...] = (),
        is_rewritten: bool = False,
        enclosed: "Message | None" = None,
    ) -> None:
        self.header = header
        self.enclosed = enclosed
        self.is_rewritten = is_rewritten
        self.size = size
        self.read_body = read_body
        self.flags = flags
        self._structure: Structure | None = None
        self._texts: dict[str, Sequence[str]] = {}
        self._addresses: dict[str, Sequence[Mailbox]] = {}
        self._readings: dict[str, Sequence[Reading]] = {}

    def texts(self, name: str) -> Sequence[str]:
        """Return the decoded values of all fields of that name, without blanks around them."""
        known = self._texts.get(name)
        if known is None:
            known = [field.text for field in self.header.get_all(name)]
            self._texts[name] = known
        return known

    def addresses(self, name: str) -> Sequence[Mailbox]:
        """Return all mailboxes in the fields of that name."""
        known = self._addresses.get(name)
        if known is None:
            known = [
                box for field in self.header.get_all(name) for box in parse_mailboxes(field.value)
            ]
            self._addresses[name] = known
        return known

    def readings(self, name: str) -> Sequence[Reading]:
        """Return all mailboxes in the fields of that name, and the text of each field that holds none."""
        known = self._readings.get(name)
        if known is None:
            known = [each for field in self.header.get_all(name) for each in read_addresses(field)]
            self._readings[name] = known
        return known

    @property
    def has_body(self) -> bool:
        """Whether an empty line ends the header."""
        return self.read_body is not no_body

    @property
    def structure(self) -> Structure:
        """The MIME parts; the first one is the whole message."""
        if self._structure is None:
            self._structure = walk(self.header, self.read_body())
        return self._structure

    def with_header(self, header: Header) -> "Message":
        """Return the message with another header."""
        size = self.size - len(self.header.raw) + len(header.raw)
        return Message(header, size, self.read_body, self.flags, self.is_rewritten, self.enclosed)

    def with_flags(self, flags: tuple[str, ...]) -> "Message":
        """Return the message with the flags that a store has for it."""
        return Message(
            self.header, self.size, self.read_body, flags, self.is_rewritten, self.enclosed
        )

    def has(self, name: str) -> bool:
        """Tell whether there is a field of that name."""
        return self.header.get(name) is not None


EMPTY = Message(Header(b""), 0)


def message_of(octets: bytes) -> Message:
    """Return the view of a whole message with CRLF line ends."""
    if octets.startswith(b"\r\n"):
        return Message(Header(b""), len(octets), lambda: octets[2:])
    end = octets.find(b"\r\n\r\n")
    if end < 0:
        return Message(Header(octets), len(octets))
    return Message(Header(octets[: end + 2]), len(octets), lambda: octets[end + 4 :])
