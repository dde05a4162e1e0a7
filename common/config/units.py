"""Turn the text of a setting into its value, and back: durations, sizes, numbers, lists.

Pure. Errors are ValueError with Dovecot's words; the caller knows file and line.
"""

from typing import Final

from columba.common.config.schema import UNLIMITED, Declared, Kind

Scalar = bool | int | float | str | list[str]

_TIMES: Final = (
    ("secs", 1.0), ("seconds", 1.0), ("mins", 60.0), ("minutes", 60.0), ("hours", 3600.0),
    ("days", 86400.0), ("weeks", 604800.0), ("msecs", 0.001), ("milliseconds", 0.001),
)  # fmt: skip
_SIZES: Final = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_UNLIMITED_WORDS: Final = ("unlimited", "infinite")


def parse_value(declared: Declared, text: str) -> Scalar:
    """Return the typed value; raises ValueError with the words for the administrator."""
    match declared.kind:
        case Kind.BOOL:
            return _bool(text)
        case Kind.UINT:
            return _uint(text, 10)
        case Kind.OCTAL:
            return _uint(text, 8 if text.startswith("0") else 10)
        case Kind.SIZE:
            return _size(text)
        case Kind.TIME:
            return _time(text)
        case Kind.PORT:
            return _port(text)
        case Kind.ENUM:
            if text not in declared.choices:
                raise ValueError(
                    f"Invalid value: {text} (use one of: {', '.join(declared.choices)})"
                )
            return text
        case Kind.STRLIST:
            return text.replace(",", " ").split()
        case Kind.STR | Kind.PATH:
            return text


def _bool(text: str) -> bool:
    word = text.lower()
    if word in ("yes", "y", "1"):
        return True
    if word == "no":
        return False
    raise ValueError(f"Invalid boolean value: {text} (use yes or no)")


def _uint(text: str, base: int) -> int:
    if text in _UNLIMITED_WORDS:
        return UNLIMITED
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"Invalid number {text}: Not a valid number")
    try:
        number = int(text, base)
    except ValueError:
        raise ValueError(f"Invalid number: {text}") from None
    if number > UNLIMITED:
        raise ValueError(f"Invalid number {text}: Too large")
    return number


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > 65535:
        raise ValueError(f"Invalid port number {text}")
    return int(text)


def _split(text: str) -> tuple[str, str]:
    end = 0
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return text[:end], text[end:].strip().lower()


def _size(text: str) -> int:
    if text in _UNLIMITED_WORDS:
        return UNLIMITED
    digits, unit = _split(text)
    letter = unit.upper()[:1]
    tail = unit.upper()[1:]
    if (
        not digits
        or letter not in _SIZES
        or tail not in ("", "B", "I", "IB")
        or (letter in "B" and tail)
    ):
        raise ValueError(f"Invalid size: {text}")
    size = int(digits[:20]) << (10 * _SIZES[letter])
    if size >= UNLIMITED or len(digits) > 20:
        raise ValueError(f"Size is too large: {text}")
    return size


def _time(text: str) -> float:
    if text in _UNLIMITED_WORDS:
        return float(UNLIMITED)
    digits, unit = _split(text)
    if not digits or len(digits) > 15:
        raise ValueError(f"Invalid time interval: {text}")
    if not unit:
        if int(digits) == 0:
            return 0.0
        raise ValueError(f"Time interval '{text}' is missing units (add e.g. 's' for seconds)")
    if unit == "ms":
        return int(digits) * 0.001
    for word, seconds in _TIMES:
        if word.startswith(unit):
            return int(digits) * seconds
    raise ValueError(f"Invalid time interval: {text}")


def format_value(kind: Kind, value: Scalar) -> str:
    """Return text that parse_value reads as the same value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(value)
    if isinstance(value, int | float) and value >= UNLIMITED:
        return "unlimited"
    if kind is Kind.TIME and isinstance(value, int | float):
        return _format_time(float(value))
    if kind is Kind.SIZE and isinstance(value, int):
        return _format_size(value)
    if kind is Kind.OCTAL and isinstance(value, int):
        return f"0{value:o}"
    return str(value)


def _format_time(seconds: float) -> str:
    if seconds == 0:
        return "0"
    for word, length in (
        ("weeks", 604800),
        ("days", 86400),
        ("hours", 3600),
        ("mins", 60),
        ("secs", 1),
    ):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)} {word}"
    return f"{round(seconds * 1000)} msecs"


def _format_size(size: int) -> str:
    for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if size and size % (1 << (10 * power)) == 0:
            return f"{size >> (10 * power)}{letter}"
    return f"{size}B" if size else "0"
