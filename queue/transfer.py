"""Mails out of the queue and into it through the admin socket, in pieces.

What goes out is the handoff that the next try would be (JSON, octets as base64) and the mail as it is at its step; what
comes in is the same, stored like any intake: under its own id once, however often it is sent.
"""

import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from columba.common import limits
from columba.common.admin import Row
from columba.common.errors import NotFoundError, RefusedError, StoreError
from columba.common.idforms import is_id
from columba.common.ids import new_id
from columba.common.ipc import wire
from columba.common.ipc.spool import CHUNK, SpoolWriter, open_body, spool_name
from columba.common.off_loop import OffLoop
from columba.queue import message
from columba.queue.body import Bodies
from columba.queue.intake import Intake
from columba.queue.shelf import Shelved

_UPLOADS: Final = 10
_KEEP_S: Final = 600.0
_IO_S: Final = 10.0
BY: Final = "columbadm"


@dataclass(slots=True)
class _Upload:
    handoff: wire.Handoff
    header: bytes
    hold: str
    writer: SpoolWriter
    began_ns: int


class Transfer:
    """Gives and takes whole mails."""

    def __init__(
        self,
        bodies: Bodies,
        intake: Intake,
        off_loop: OffLoop,
        process: str,
        now_ns: Callable[[], int],
    ) -> None:
        self._bodies, self._intake, self._off_loop = bodies, intake, off_loop
        self._process, self._now_ns = process, now_ns
        self._uploads: dict[str, _Upload] = {}

    async def give(self, shelved: Shelved) -> AsyncIterator[Row]:
        """Yield a mail: the first row has its envelope, each a piece of it."""
        record = shelved.record
        async with self._bodies.as_frame(record) as (body, inline):
            handoff = message.handoff_of(
                record,
                record.pending,
                wire.Body(size=body.size),
                deadline_ns=0,
                not_after_boot_ns=0,
            )
            yield {
                "id": record.name,
                "handoff": msgspec.json.encode(handoff).decode(),
                "hold": record.hold,
                "created": round(record.created_s),
                "chunk": base64.b64encode(record.header + b"\r\n").decode(),
            }
            folder = self._bodies.folder
            source = await self._off_loop.run(_IO_S, open_body, folder, body, inline)
            with source:
                offset = 0
                while piece := await self._off_loop.run(_IO_S, source.read_at, offset, CHUNK):
                    offset += len(piece)
                    yield {"id": record.name, "chunk": base64.b64encode(piece).decode()}

    async def take(self, command: str, request: dict[str, object]) -> list[Row]:
        """Begin an upload, go on with it, or end it; RefusedError, NotFoundError, StoreError."""
        self._forget_old()
        if command == "import-begin":
            return [{"upload": self._begin(request)}]
        name = str(request.get("upload", ""))
        upload = self._uploads.get(name)
        if upload is None:
            raise NotFoundError("there is no such upload, or it took too long")
        if command == "import-data":
            await upload.writer.write(_octets(request, "chunk"), _IO_S)
            return []
        del self._uploads[name]
        return [{"id": await self._end(upload)}]

    def _begin(self, request: dict[str, object]) -> str:
        if len(self._uploads) >= _UPLOADS:
            raise RefusedError("too many imports at a time")
        try:
            handoff = msgspec.json.decode(str(request.get("handoff", "")), type=wire.Handoff)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise RefusedError(f"not an envelope: {error}") from error
        header = _octets(request, "header")
        if len(header) > limits.HEADER_SIZE or not header.endswith(b"\r\n"):
            raise RefusedError("not a header block")
        id = handoff.id if is_id(handoff.id) else new_id()
        # Its time begins anew here, or an old mail would go back at once.
        envelope = msgspec.structs.replace(handoff.envelope, arrived_s=0.0)
        handoff = msgspec.structs.replace(
            handoff, id=id, envelope=envelope, origin="client", path=(), not_after_boot_ns=0
        )
        message.check(handoff)
        spool = spool_name(id, secrets.randbelow(1_000_000), self._process)
        writer = SpoolWriter(self._off_loop, self._bodies.folder, spool)
        token, hold = secrets.token_hex(8), str(request.get("hold") or "")
        self._uploads[token] = _Upload(handoff, header, hold, writer, self._now_ns())
        return token

    async def _end(self, upload: _Upload) -> str:
        body = upload.writer.finish()
        if not body.size:
            body = wire.Body()
        handoff = msgspec.structs.replace(upload.handoff, body=body)
        request = wire.Intake(handoff=handoff, hold=upload.hold, by=BY)
        try:
            reply = await self._intake.store(request, [upload.header, b""])
        finally:
            upload.writer.abort()
        if isinstance(reply, wire.NotStored):
            raise StoreError(f"{handoff.id} was not stored: {reply.text}")
        return handoff.id

    def _forget_old(self) -> None:
        oldest_ns = self._now_ns() - int(_KEEP_S * 1e9)
        for name, upload in list(self._uploads.items()):
            if upload.began_ns < oldest_ns:
                upload.writer.abort()
                del self._uploads[name]


def _octets(request: dict[str, object], name: str) -> bytes:
    try:
        return base64.b64decode(str(request.get(name, "")), validate=True)
    except binascii.Error as error:
        raise RefusedError(f"{name} is no base64") from error
