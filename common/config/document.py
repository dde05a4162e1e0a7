"""Show a configuration as text that can be read in again, and write docs/settings.md from the declarations.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from columba.common.config.lexer import SPACE
from columba.common.config.parser import VERSION_KEY, VERSIONS, Section
from columba.common.config.resolve import Names, Resolver, Schema, section_names
from columba.common.config.schema import Declared, Named, declarations
from columba.common.config.units import format_value

HIDDEN = "# hidden, use -P to show it"


@dataclass(frozen=True, slots=True)
class View:
    """What is shown: all settings, or those that differ from `base`, the built-in ones; secrets or not."""

    resolver: Resolver
    base: Resolver | None
    secrets: bool = False

    def lines(self) -> list[str]:
        """Return the whole configuration."""
        root = self.resolver.root
        base = self.base.root if self.base else None
        names = {**self.resolver.root_names(), "service": Named(self.resolver.schema.service, "")}
        body = self._body((root,), (base,) if base else (), names)
        return [f"{VERSION_KEY} = {VERSIONS[-1]}", *body]

    def one(self, name: str) -> list[str]:
        """Return a single root setting, or a section named as `kind/name`; [] if there is none."""
        root = self.resolver.root
        kind, _, inner = name.partition("/")
        declared = self.resolver.root_names().get(name)
        if isinstance(declared, Declared):
            return [f"{name} = {self._shown(name, declared, (root,))}"]
        section = root.sections.get(kind, {}).get(inner)
        if section is None:
            return []
        named = (
            Named(self.resolver.schema.service, "")
            if kind == "service"
            else self.resolver.root_names()[kind]
        )
        assert isinstance(named, Named)
        return self._section((root, section), (), named)

    def _body(
        self, chain: tuple[Section, ...], base: tuple[Section, ...], names: Names
    ) -> list[str]:
        out = []
        for name, declared in sorted(names.items()):
            if isinstance(declared, Declared) and self._is_shown(name, declared, chain, base):
                out.append(f"{name} = {self._shown(name, declared, chain)}")
        for name, declared in sorted(names.items()):
            if isinstance(declared, Declared):
                continue
            for key, section in sorted(chain[-1].sections.get(name, {}).items()):
                known = (
                    base[-1].sections.get(name, {}).get(key, Section(name, key)) if base else None
                )
                out += self._section((*chain, section), (*base, known) if known else (), declared)
        return out

    def _section(
        self, chain: tuple[Section, ...], base: tuple[Section, ...], named: Named
    ) -> list[str]:
        section = chain[-1]
        names = section_names(named)
        if section.kind == "service":
            inside = self.resolver.schema.inside_service(section.name)
            own = declarations(self.resolver.schema.service)
            names = {
                key: what
                for key, what in inside.items()
                if key in own or key in section.values or isinstance(what, Named)
            }
        body = self._body(chain, base, names)
        if not body and base:
            return []
        return [f"{section.kind} {_quoted(section.name)} {{", *(f"  {line}" for line in body), "}"]

    def _is_shown(
        self, name: str, declared: Declared, chain: tuple[Section, ...], base: tuple[Section, ...]
    ) -> bool:
        if self.base is None:
            return True
        if name not in chain[-1].values:
            return False
        return self.resolver.typed(name, declared, chain) != self.base.typed(name, declared, base)

    def _shown(self, name: str, declared: Declared, chain: tuple[Section, ...]) -> str:
        if declared.secret and not self.secrets:
            return HIDDEN
        value = self.resolver.typed(name, declared, chain)
        return written(format_value(declared.kind, value))


def written(text: str) -> str:
    """Return a value as it must stand in a file, quoted only when needed."""
    if "\n" in text:
        mark = "END"
        while mark in text:
            mark += "_"
        return f"<<{mark}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{mark}"
    needs = text != text.strip(SPACE) or any(c in text for c in "#\"'\\$") or text[:1] == "<"
    return _quoted(text, always=True) if needs else text


def _quoted(text: str, always: bool = False) -> str:
    if not always and text and all(c.isalnum() or c in "-_./:@*" for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def settings_page(schema: Schema) -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from the declarations in the code by `make docs`. Each setting stands at the root of `columba.conf`, or",
        "inside `service NAME { … }` for that service alone. Times need a unit (`30 secs`), sizes may have one",
        "(`16M`); `unlimited` and `infinite` are numbers, too. `%{…}` in a default stands for another setting.",
        "",
        *_table("General", declarations(schema.general)),
    ]
    seen = set(declarations(schema.general))
    for name, cls in sorted(schema.services.items()):
        own = {key: what for key, what in declarations(cls).items() if key not in seen}
        if own:
            lines += _table(f"Service {name}", own)
    lines += _table("service NAME { … }", declarations(schema.service))
    for title, named in _sections(schema):
        lines += _table(title, section_names(named))
    return "\n".join(lines).rstrip() + "\n"


def _sections(schema: Schema) -> Iterator[tuple[str, Named]]:
    for name, what in sorted(schema.root().items()):
        if isinstance(what, Named):
            yield f"{name} NAME {{ … }}", what
    inside: Names = {}
    for service in ("", *schema.services):
        inside |= {k: v for k, v in schema.inside_service(service).items() if isinstance(v, Named)}
    for name, what in sorted(inside.items()):
        if isinstance(what, Named) and name not in schema.root():
            yield f"{name} NAME {{ … }} in a service", what


def _table(title: str, names: Names) -> list[str]:
    lines = [
        f"## {title}",
        "",
        "| setting | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, what in sorted(names.items()):
        if isinstance(what, Named):
            lines.append(f"| `{name} NAME {{ … }}` | section | | {what.help} |")
            continue
        kind = " \\| ".join(what.choices) if what.choices else what.kind.value
        default = f"`{what.default}`" if what.default else ""
        lines.append(f"| `{name}` | {kind} | {default} | {what.help} |")
    return [*lines, ""]
