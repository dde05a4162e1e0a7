"""Make the seven-bit copy of a mail of our own, for the hops that take nothing else (promises §6).

Foreign mail is never rewritten: its signatures would break. The copy stands in memory if it is small, else in a
spool file of ours, which the caller removes after the final answer.
"""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from columba.common.clock import left_s
from columba.common.errors import StoreError
from columba.common.hop.mail import Mail
from columba.common.ipc import wire
from columba.common.ipc.spool import CHUNK, SpoolWriter, open_body, remove, spool_name
from columba.common.mail.header import Header
from columba.common.off_loop import OffLoop
from columba.delivery.signer.sevenbit import to_seven_bits

SIZE_MAX: Final = 32 << 20
INLINE_MAX: Final = 64 * 1024
Rewritten = tuple[bytes, bytes]


class Reworker:
    """Rewrites mails; `process` names the spool files it makes."""

    def __init__(self, spool: Path, process: str, off_loop: OffLoop) -> None:
        self._spool, self._process, self._off_loop = spool, process, off_loop
        self._numbers = itertools.count(1)

    async def rework(self, mail: Mail, until_ns: int) -> Mail | None:
        """Return the mail in seven bits, or None if it must not or can't be rewritten.

        Raises StoreError, TimeoutError.
        """
        if mail.handoff.kind == "received" or mail.handoff.body.size > SIZE_MAX:
            return None
        rewritten = await self._off_loop.run(left_s(until_ns), self._rewrite, mail)
        if rewritten is None:
            return None
        header, body = rewritten
        reference = wire.Body(size=len(body))
        if len(body) > INLINE_MAX:
            reference, body = await self._write(mail.handoff.id, body, until_ns), b""
        envelope = msgspec.structs.replace(mail.handoff.envelope, body8=False)
        handoff = msgspec.structs.replace(mail.handoff, body=reference, envelope=envelope)
        return replace(mail, handoff=handoff, header=header, body=body)

    def forget(self, mail: Mail) -> None:
        """Remove the spool file of a rewritten mail."""
        remove(self._spool, mail.handoff.body.spool)

    def _rewrite(self, mail: Mail) -> Rewritten | None:
        with open_body(self._spool, mail.handoff.body, mail.body) as source:
            body = b"".join(source.chunks())
        rewritten = to_seven_bits(Header(mail.header), body)
        return (rewritten[0].raw, rewritten[1]) if rewritten else None

    async def _write(self, id: str, body: bytes, until_ns: int) -> wire.Body:
        name = spool_name(id, next(self._numbers) % 1_000_000, self._process)
        writer = SpoolWriter(self._off_loop, self._spool, name)
        try:
            for at in range(0, len(body), CHUNK):
                await writer.write(body[at : at + CHUNK], left_s(until_ns))
        except (StoreError, TimeoutError):
            writer.abort()
            raise
        return writer.finish()
