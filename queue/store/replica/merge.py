"""Put the lists of several members together.

Pure. Each list is complete up to its last key, or to the end if nothing follows; the merged one is complete as far as
all of them are. What is newest at a key says whether it is present; where too few have the newest, the key is listed if
anybody has it, as it may be present: who reads it learns the truth.
"""

from collections.abc import Sequence

from columba.queue.store.replica.words import Listed, Name


def merge(lists: Sequence[Listed], majority: int) -> tuple[list[str], str, bool]:
    """Return the keys that are present, the key up to which they are known, and whether others may follow."""
    ends = [each.names[-1].key for each in lists if each.more and each.names]
    last, more = min(ends, default=""), bool(ends)
    found: dict[str, list[Name]] = {}
    for each in lists:
        for name in each.names:
            if not more or name.key <= last:
                found.setdefault(name.key, []).append(name)
    keys = [key for key in sorted(found) if _may_be_present(found[key], majority)]
    return keys, last, more


def _may_be_present(names: list[Name], majority: int) -> bool:
    newest = max(name.accepted for name in names)
    having = [name for name in names if name.accepted == newest]
    if len(having) >= majority:
        return having[0].present
    return any(name.present for name in names)
