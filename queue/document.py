"""Documents in MessagePack that keep what they do not know.

Pure: a document is a Struct with a field `extra`. What stands in the bytes beside the known fields goes there
and is written again, so that an older node preserves what a newer one wrote. Bytes stay bytes.
"""

from typing import TypeVar

import msgpack
import msgspec

from columba.common.errors import StoreError

Map = dict[str, object]


class RecordError(StoreError):
    """What was read is no document of this queue."""

    temporary = False


T = TypeVar("T", bound=msgspec.Struct)


def flat(thing: msgspec.Struct) -> Map:
    """Return a Struct's fields as plain values, the unknown ones among them."""
    tree: Map = msgspec.to_builtins(thing, builtin_types=(bytes,))
    extra = tree.pop("extra", None)
    return {**extra, **tree} if isinstance(extra, dict) else tree


def pack(tree: Map) -> bytes:
    """Return the bytes of a document."""
    packed: bytes = msgpack.packb(tree, use_bin_type=True)
    return packed


def unpack(data: bytes, limit: int) -> Map:
    """Return the fields of a document of at most limit octets; RecordError when it is none."""
    if len(data) > limit:
        raise RecordError(f"document: larger than {limit} octets")
    try:
        tree = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"document: {error}") from error
    except (msgpack.UnpackException, msgpack.StackError) as error:
        raise RecordError("document: no MessagePack") from error
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise RecordError("document: no map of names")
    return tree


def build(tree: Map, kind: type[T]) -> T:
    """Return a Struct of these fields, the unknown ones in `extra`; RecordError when they do not fit."""
    extra = {key: tree[key] for key in tree.keys() - set(kind.__struct_fields__)}
    try:
        return msgspec.convert({**tree, "extra": extra}, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError(f"document: {error}") from error
