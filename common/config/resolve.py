"""Give every declared setting its typed value from the tree that was read.

Pure: files and environment come in with a World. Decides which names are allowed where, which of several values
holds, and how variables expand: a setting of a service may stand at the root, in `service NAME { }` or in a
section inside it, and the innermost value holds. Unknown names are errors with a hint.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from columba.common.config.lexer import Form
from columba.common.config.parser import VERSION_KEY, Section, Value
from columba.common.config.schema import Declared, Kind, Named, declarations
from columba.common.config.units import Scalar, parse_value
from columba.common.errors import ConfigError

Plain = Scalar | dict[str, "Plain"]
Frozen = dict[str, Plain]
Names = dict[str, Declared | Named]

PERCENT: Final = re.compile(r"%\{([a-z_:]+)\}")
SET: Final = "$SET:"
ENV: Final = "$ENV:"


@dataclass(frozen=True, slots=True)
class Schema:
    """Which settings there are.

    `general` and the classes of `services` declare root settings, `service` those of each `service NAME { }`;
    `other` is what a service that is not in `services` gets.
    """

    general: type
    service: type
    services: Mapping[str, type]
    other: type

    def root(self) -> Names:
        """Return all that may stand at the root."""
        names = merged([self.general, *self.services.values()])
        inner = declarations(self.service)
        return {name: what for name, what in names.items() if name not in inner}

    def inside_service(self, name: str) -> Names:
        """Return all that may stand in `service NAME { }`."""
        return merged([self.service, self.services.get(name, self.other)])


@dataclass(frozen=True, slots=True)
class World:
    """What a configuration may ask of the world around it."""

    environ: Mapping[str, str]
    system: Mapping[str, str]  # for %{system:…}: cpu_count, hostname
    read_file: Callable[[str], str] = field(repr=False)


class Resolver:
    """Answers for the values of settings classes over one tree."""

    def __init__(self, root: Section, schema: Schema, world: World) -> None:
        self.root, self.schema, self._world = root, schema, world
        self._root_names = schema.root()
        self._busy: list[tuple[str, Value]] = []  # what is being expanded, to find loops

    def root_names(self) -> Names:
        """Return all that may stand at the root, `service` left out."""
        return self._root_names

    def typed(self, name: str, declared: Declared, chain: tuple[Section, ...]) -> Scalar:
        """Return one value, looked up from the innermost section outwards."""
        return self._typed(name, declared, self._find(name, chain))

    def check(self) -> None:
        """Raise ConfigError for the first name that is not allowed where it stands."""
        _check_names(self.root, {**self._root_names, "service": Named(self.schema.service, "")})
        for name, section in self.root.sections.get("service", {}).items():
            _check_names(section, self.schema.inside_service(name))

    def general(self) -> Frozen:
        """Return the values of the general class."""
        return self.resolve(self.schema.general, (self.root,))

    def service_names(self) -> list[str]:
        """Return the services that have a section."""
        return list(self.root.sections.get("service", {}))

    def service_hint(self, name: str) -> str:
        """Return ` (did you mean X?)` for the nearest service, or nothing."""
        return near(name, self.service_names())

    def service_section(self, name: str) -> Section:
        """Return `service NAME { }`, an empty one if there is none."""
        none = Section("service", name, self.root.file)
        return self.root.sections.get("service", {}).get(name, none)

    def service(self, name: str) -> Frozen:
        """Return the values of the master's settings of a service."""
        return self.resolve(self.schema.service, (self.root, self.service_section(name)))

    def settings(self, name: str) -> Frozen:
        """Return the values of a service's own settings."""
        cls = self.schema.services.get(name, self.schema.other)
        return self.resolve(cls, (self.root, self.service_section(name)))

    def paths(self, name: str) -> list[str]:
        """Return the files and folders that a service's own settings name: what is written there counts at reload."""
        cls = self.schema.services.get(name, self.schema.other)
        own = _paths(cls, self.settings(name), set(declarations(self.schema.other)))
        return sorted(set(own))

    def resolve(self, cls: type, chain: tuple[Section, ...]) -> Frozen:
        """Return the values of a settings class, looked up from the innermost section outwards."""
        out: Frozen = {}
        for name, declared in declarations(cls).items():
            if isinstance(declared, Declared):
                value = self._find(name, chain)
                out[name] = self._typed(name, declared, value)
                continue
            found = {
                key: section
                for scope in chain
                for key, section in scope.sections.get(name, {}).items()
            }
            out[name] = {
                key: self.resolve(declared.section, (*chain, section))
                for key, section in found.items()
            }
        return out

    def _find(self, name: str, chain: tuple[Section, ...]) -> Value | None:
        """Return the innermost value; only names that may stand at the root are inherited."""
        scopes = chain if name in self._root_names else chain[-1:]
        found = [scope.values[name] for scope in scopes if name in scope.values]
        return found[-1] if found else None

    def _typed(self, name: str, declared: Declared, value: Value | None) -> Scalar:
        written = value or default_value(declared, self.root.file, 0)
        try:
            text = self._expand(name, written)
            typed = parse_value(declared, text)
        except ValueError as error:
            raise written.error(f"{name}: {error}") from None
        if declared.kind is Kind.PATH and isinstance(typed, str) and value is not None:
            return _absolute(typed, value.file)
        return typed

    def _expand(self, name: str, value: Value) -> str:
        if value.form is Form.QUOTED:
            return value.text
        if value.form is Form.FILE:
            return self._file(name, value)
        if (name, value) in self._busy:
            raise value.error(f"Chained {SET}{name} loops back to itself")
        self._busy.append((name, value))
        try:
            text = value.text
            if value.form is Form.VARIABLE:
                text = " ".join(self._token(token, value) for token in text.split(" "))
            return PERCENT.sub(lambda found: self._percent(found, value), text)
        finally:
            self._busy.pop()

    def _file(self, name: str, value: Value) -> str:
        path = _absolute(value.text, value.file)
        try:
            return self._world.read_file(path)
        except OSError as error:
            raise value.error(f"{name}: Can't open file {path}: {error.strerror}") from error

    def _token(self, token: str, value: Value) -> str:
        if token.startswith(ENV):
            return self._world.environ.get(token.removeprefix(ENV), "")
        if not token.startswith(SET):
            return token
        *path, name = token.removeprefix(SET).split("/")
        scope, names = self.root, self._root_names
        if path:
            if len(path) != 2 or path[0] != "service":
                raise value.error(f"Unknown variable: {token}")
            scope, names = self.service_section(path[1]), self.schema.inside_service(path[1])
        declared = names.get(name)
        if not isinstance(declared, Declared):
            raise value.error(f"Unknown variable: {token}")
        written = scope.values.get(name) or default_value(declared, value.file, value.line)
        return self._expand(name, written)

    def _percent(self, found: re.Match[str], value: Value) -> str:
        """Expand %{system:…} and %{a general setting}; all else is for the service at run time."""
        name = found[1]
        if name.startswith("system:"):
            answer = self._world.system.get(name.removeprefix("system:"))
            if answer is None:
                raise value.error(f"Unknown variable: %{{{name}}}")
            return answer
        declared = declarations(self.schema.general).get(name)
        if not isinstance(declared, Declared):
            return found[0]
        return str(self._typed(name, declared, self.root.values.get(name)))


def default_value(declared: Declared, file: str, line: int) -> Value:
    """Return a setting's default as if it had been written there."""
    form = Form.VARIABLE if SET in declared.default else Form.LITERAL
    return Value(declared.default, form, file, line)


def merged(classes: list[type]) -> Names:
    """Return what several classes declare; one name twice must mean the same."""
    names: Names = {}
    for cls in classes:
        for name, declared in declarations(cls).items():
            known = names.setdefault(name, declared)
            both = isinstance(known, Declared), isinstance(declared, Declared)
            assert both[0] == both[1], f"{name} is declared as a value and as a section"
            if isinstance(known, Declared) and isinstance(declared, Declared):
                assert known.kind is declared.kind, f"{name} is declared with two types"
            elif (
                isinstance(known, Named)
                and isinstance(declared, Named)
                and known.section is not declared.section
            ):
                names[name] = Named(_union(known.section, declared.section), known.help)
    return names


def _union(one: type, two: type) -> type:
    both = (*getattr(one, "both", (one,)), two)
    return type("Both", (), {"both": both})


def section_names(named: Named) -> Names:
    """Return what may stand in a named section."""
    return merged(list(getattr(named.section, "both", (named.section,))))


def _check_names(section: Section, names: Names) -> None:
    for key, value in section.values.items():
        declared = names.get(key)
        if key == VERSION_KEY and not section.kind:
            continue
        if declared is None:
            raise value.error(f"Unknown setting: {key}{hint(key, names, Declared)}")
        if isinstance(declared, Named):
            raise value.error(f"{key} is a section: write {key} NAME {{")
    for kind, sections in section.sections.items():
        for name, inner in sections.items():
            _check_section(kind, name, inner, names)


def _check_section(kind: str, name: str, inner: Section, names: Names) -> None:
    declared = names.get(kind)
    if declared is None:
        raise inner.error(f"Unknown section name: {kind}{hint(kind, names, Named)}")
    if isinstance(declared, Declared):
        raise inner.error(f"{kind} is a setting: write {kind} = VALUE")
    if not name:
        raise inner.error(f"{kind} {{ }} is missing section name")
    if kind != "service":
        _check_names(inner, section_names(declared))


def _paths(cls: type, values: Frozen, without: set[str]) -> list[str]:
    found: list[str] = []
    for name, declared in declarations(cls).items():
        value = values[name]
        if name in without or not value:
            continue
        if isinstance(declared, Declared) and declared.kind is Kind.PATH:
            found.append(str(value))
        elif isinstance(declared, Named) and isinstance(value, dict):
            for inner in value.values():
                found += _paths(declared.section, inner if isinstance(inner, dict) else {}, set())
    return found


def hint(name: str, names: Names, wanted: type) -> str:
    """Return ` (did you mean X?)` for the nearest allowed name, or nothing."""
    return near(name, [key for key, declared in names.items() if isinstance(declared, wanted)])


def near(name: str, names: list[str]) -> str:
    """Return ` (did you mean X?)` for the nearest of some names, or nothing."""
    found = difflib.get_close_matches(name, names, 1, 0.7)
    return f" (did you mean {found[0]}?)" if found else ""


def _absolute(path: str, file: str) -> str:
    if not path or path.startswith("/") or not file.startswith("/"):
        return path
    return f"{file.rpartition('/')[0]}/{path}"


def missing(name: str, section: Section) -> ConfigError:
    """Return the error for a setting that must be set in a section."""
    return section.error(f"{section.kind} {section.name}: {name} must be set")
