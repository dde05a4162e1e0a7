"""Strings with variables and encoded characters.

Pure. RFC 5228 §2.4.2.4 (encoded-character) is done when a script is compiled, then RFC 5229 §3 makes
a text whose variables are filled at run time. What only looks like either is left as it is.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from columba.sieve.lang.tree import String
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, constant_text

if TYPE_CHECKING:
    from columba.sieve.lang.compiler import Compiler

# RFC 5228 §2.4.2.4: blanks may stand everywhere between the numbers.
_HEX: Final = re.compile(r"\$\{hex:\s*([0-9a-f]{1,2}(?:\s+[0-9a-f]{1,2})*)\s*\}", re.IGNORECASE)
_UNICODE: Final = re.compile(r"\$\{unicode:\s*([0-9a-f]+(?:\s+[0-9a-f]+)*)\s*\}", re.IGNORECASE)
# RFC 5229 §3: variable-ref = "${" [namespace] variable-name "}"
_REFERENCE: Final = re.compile(
    r"\$\{((?:[A-Za-z_][A-Za-z0-9_]*\.)*(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+))\}"
)
_LAST_CHARACTER: Final = 0x10FFFF
_NUMBER_DIGITS: Final = 9

Part = Callable[[Run], str]


def compile_string(compiler: "Compiler", node: String) -> Text:
    """Return the text that a string stands for, by what the script requires."""
    value = node.value
    if "${" not in value:
        return constant_text(value)
    if "encoded-character" in compiler.required:
        value = _decoded(compiler, node)
    if "variables" not in compiler.required:
        return constant_text(value)
    return _with_variables(compiler, value, node.at)


def _decoded(compiler: "Compiler", node: String) -> str:
    def octets(match: re.Match[str]) -> str:
        raw = bytes(int(number, 16) for number in match[1].split())
        return raw.decode("utf-8", "surrogateescape")

    def characters(match: re.Match[str]) -> str:
        numbers = [int(number, 16) for number in match[1].split()]
        if any(n > _LAST_CHARACTER or 0xD800 <= n <= 0xDFFF for n in numbers):
            # RFC 5228 §2.4.2.4: it is an error to name what is no character.
            compiler.error(node.at, f"'{match[0][:60]}' names no Unicode character")
            return match[0]
        return "".join(map(chr, numbers))

    value = _UNICODE.sub(characters, _HEX.sub(octets, node.value))
    # Octets that together are UTF-8 become characters.
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _with_variables(compiler: "Compiler", value: str, at: int) -> Text:
    pieces: list[str | Part] = []
    end = 0
    for match in _REFERENCE.finditer(value):
        pieces += [value[end : match.start()], _reference(compiler, match[1].lower(), at)]
        end = match.end()
    pieces.append(value[end:])
    parts = [piece for piece in pieces if piece != ""]
    if not any(callable(part) for part in parts):
        return constant_text("".join(part for part in parts if isinstance(part, str)))
    if len(parts) == 1 and callable(only := parts[0]):
        return Text(only)
    getters = [part if callable(part) else constant_text(part).get for part in parts]
    return Text(lambda run: "".join([get(run) for get in getters]))


def _reference(compiler: "Compiler", name: str, at: int) -> str | Part:
    """Return what gives the value of a variable, or a constant."""
    if name.isdigit():
        return _match_variable(compiler, name, at)
    namespace, _, rest = name.partition(".")
    if rest:
        resolve = compiler.namespace(namespace)
        if resolve is None:
            compiler.error(at, f"unknown variable namespace '{namespace}'")
            return f"${{{name}}}"
        text = resolve(rest)
        if text is None:
            compiler.error(at, f"invalid variable name '{name[:60]}'")
            return ""
        return text.get
    if len(name) > compiler.limits.variable_name:
        compiler.error(at, f"variable name '{name[:40]}…' is too long")
        return ""
    if name in compiler.globals:
        return lambda run: run.globals.get(name, "")
    compiler.locals.add(name)
    return lambda run: run.variables.get(name, "")


def _match_variable(compiler: "Compiler", name: str, at: int) -> str | Part:
    limit = compiler.limits.match_variables
    index = int(name) if len(name) <= _NUMBER_DIGITS else limit + 1
    if index > limit:
        # RFC 5229 §3: a number past the limit must be reported.
        compiler.error(at, f"match variable ${{{name[:12]}}} is past the limit of {limit}")
        return ""
    return lambda run: run.matches[index] if index < len(run.matches) else ""
