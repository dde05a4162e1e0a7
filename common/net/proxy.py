"""The header by which a proxy says for whom it connects: PROXY protocol, versions 1 and 2.

Pure: the reader says how many octets it wants, so that not one is taken of what follows the header (a TLS handshake,
perhaps). What a proxy says is believed by those alone who trust it; that is not decided here. TLVs are skipped.
Source: the PROXY protocol specification of HAProxy, 2020/03/05 (§2.1: version 1, §2.2: version 2).
"""

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import Final

from columba.common.errors import RemoteProtocolError

SIGNATURE: Final = (
    b"\r\n\r\n\0\r\nQUIT\n"  # §2.2; as long as the shortest head of version 1 that tells it
)
LINE_MAX: Final = 107  # §2.1, the line end counted
ADDRESSES_MAX: Final = 8192  # octets behind the head of version 2, TLVs among them
_LINE: Final = re.compile(
    rb"PROXY (?:(TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})|UNKNOWN.*)\r\n"
)
_IPV4: Final = struct.Struct("!4s4sHH")
_IPV6: Final = struct.Struct("!16s16sHH")


@dataclass(frozen=True, slots=True)
class Proxied:
    """Both ends of the connection as the proxy has it. is_known is False when it does not say (a health check)."""

    is_known: bool = False
    ip: str = ""
    port: int = 0
    local_ip: str = ""
    local_port: int = 0


class ProxyReader:
    """Takes one header, never an octet more."""

    def __init__(self) -> None:
        self._data = b""
        self._end = len(SIGNATURE)  # where the part ends that is read now
        self.result: Proxied | None = None

    @property
    def wants(self) -> int:
        """Return how many octets are to be read next, at most; 0 when the header is complete."""
        return 0 if self.result else self._end - len(self._data)

    def feed(self, data: bytes) -> None:
        """Take at most `wants` octets. Raises RemoteProtocolError for what is no header."""
        self._data += data
        if not SIGNATURE.startswith(self._data[:12]) and not b"PROXY ".startswith(self._data[:6]):
            raise RemoteProtocolError("no PROXY header")
        if len(self._data) < self._end:
            return
        if self._data.startswith(SIGNATURE):
            self._take_binary()
        else:
            self._take_line()

    def _take_line(self) -> None:
        if not self._data.endswith(b"\r\n"):
            if len(self._data) >= LINE_MAX or b"\n" in self._data:
                raise RemoteProtocolError("PROXY line without end")
            self._end += 1
            return
        found = _LINE.fullmatch(self._data)
        if found is None:
            raise RemoteProtocolError("malformed PROXY line")
        if found[1] is None:
            self.result = Proxied()
            return
        version = 4 if found[1] == b"TCP4" else 6
        ports = int(found[4]), int(found[5])
        if max(ports) > 65535:
            raise RemoteProtocolError("bad port in a PROXY line")
        self.result = Proxied(
            True, _address(found[2], version), ports[0], _address(found[3], version), ports[1]
        )

    def _take_binary(self) -> None:
        if self._end == len(SIGNATURE):
            self._end = 16
            return
        command, family, length = (
            self._data[12],
            self._data[13],
            int.from_bytes(self._data[14:16], "big"),
        )
        if command >> 4 != 2 or command & 15 > 1 or length > ADDRESSES_MAX:
            raise RemoteProtocolError("malformed PROXY header")
        if self._end == 16 and length:
            self._end += length
            return
        self.result = _binary(command & 15, family, self._data[16:])


def _binary(command: int, family: int, text: bytes) -> Proxied:
    """§2.2: command 0 is LOCAL; family 0x11 is TCP over IPv4, 0x21 over IPv6; the others name no address of use."""
    if command == 0 or family not in (0x11, 0x21):
        return Proxied()
    form = _IPV4 if family == 0x11 else _IPV6
    if len(text) < form.size:
        raise RemoteProtocolError("PROXY header without its addresses")
    ip, local_ip, port, local_port = form.unpack_from(text)
    return Proxied(True, str(_plain(ip)), port, str(_plain(local_ip)), local_port)


def _plain(packed: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError as error:
        raise RemoteProtocolError("bad address in a PROXY line") from error
    if address.version != version:
        raise RemoteProtocolError("address of another family in a PROXY line")
    return str(_plain(address.packed))
