"""A checked configuration on its way from the check to the master.

Pure: plain and typed values, as JSON.
"""

import json
from dataclasses import asdict, dataclass

from columba.common.config.resolve import Frozen


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration that has been checked.

    `services` holds the enabled services in the order of their start: the master's settings of each; `settings` what
    each service's own process gets; `fingerprints` the state of the files that these name; `origins` says
    `FILE line N` for each `kind/name/…/setting` that was written.
    """

    path: str
    general: Frozen
    services: dict[str, Frozen]
    settings: dict[str, Frozen]
    fingerprints: dict[str, str]
    origins: dict[str, str]
    warnings: list[str]

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def load_compiled(text: str) -> Compiled:
    """Return what dump wrote."""
    return Compiled(**json.loads(text))
