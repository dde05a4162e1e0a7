"""Hold the layer rules of the style guide by reading every import: allow-lists, not deny-lists."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = ("master", "smtpd", "delivery", "queue", "sieve", "common")
SERVICES = ("delivery.signer", "master", "smtpd", "delivery", "queue", "sieve")  # longest first
# Tools of the administrator look into services, and nobody looks into them.
TOOLS = ("master.cli", "master.gate", "master.check")
TOOLS_MAY_SEE = (
    "settings",
    "sieve.files",  # reads what the settings name
    "sieve.engine",  # pure: the front of sieve.lang and sieve.run
    "sieve.lang",
    "sieve.run",
    "sieve.svtest",
    "queue.store",
    "queue.query",
    "queue.record",
    "delivery.signer.keys",
    "delivery.source",  # pure: sources and pools out of settings
)
PURE_PACKAGES = (
    "common.errors",
    "common.limits",
    "common.smtp",
    "common.mail",
    "common.mailauth",
    "common.sasl",
    "sieve.lang",
    "sieve.run",
    "sieve.core",
    "sieve.ext",
)
PURE_MAY_IMPORT = {
    "__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "codecs",
    "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "difflib", "email", "encodings",
    "enum", "fnmatch", "functools", "hashlib", "heapq", "hmac", "html", "importlib", "io",
    "ipaddress", "itertools", "json", "math", "operator", "quopri", "re", "string", "stringprep",
    "struct", "types", "typing", "unicodedata", "urllib", "zlib",
    "cryptography", "dkim", "idna", "lark", "msgpack", "msgspec", "re2",
}  # fmt: skip


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name below columba and the path of every module."""
    for top in TOP:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Yield every absolute name that a module imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def below(name: str, parents: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is one of the parents or stands below one."""
    return any(name == p or name.startswith(p + ".") for p in parents)


def service_of(name: str) -> str | None:
    """Return the service that a module belongs to, or None for common."""
    return next((s for s in SERVICES if below(name, (s,))), None)


def is_pure(name: str, path: Path) -> bool:
    """Tell whether a module promises to do no I/O: by its package, or in its docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    marked = any(line.startswith(("Pure:", "Pure.")) for line in docstring.splitlines())
    return below(name, PURE_PACKAGES) or marked


def ours(path: Path) -> Iterator[str]:
    """Yield what a module imports of ours, without the leading package."""
    for target in imports(path):
        if target == "columba" or target.startswith("columba."):
            yield target.removeprefix("columba.")


ALL = list(modules())
NAMES = {name for name, _ in ALL}


def tool_may_see(target: str) -> bool:
    """Tell whether a tool may import this of another service."""
    return below(target, TOOLS_MAY_SEE) or ".settings" in target


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_a_service_imports_itself_and_common_only(name: str, path: Path) -> None:
    """Services never import each other, common imports common, nobody imports the tools."""
    for target in ours(path):
        if below(target, ("__version__",)):
            continue
        wanted = service_of(target)
        if below(name, TOOLS):
            assert wanted in (None, service_of(name)) or tool_may_see(target), (
                f"{name} imports {target}"
            )
            continue
        assert not below(target, TOOLS) or below(name, TOOLS), f"{name} imports the tool {target}"
        assert wanted in (None, service_of(name)), f"{name} imports {target}"


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_pure_modules_do_no_io(name: str, path: Path) -> None:
    """Pure modules import only what the allow-list names and other pure modules."""
    if not is_pure(name, path):
        return
    paths = dict(ALL)
    for target in imports(path):
        if not target.startswith("columba."):
            top = target.split(".")[0]
            assert top in PURE_MAY_IMPORT or top == "columba", f"{name} imports {target}"
            continue
        if target == "columba.__version__":  # a constant
            continue
        short = target.removeprefix("columba.")
        module = short if short in NAMES else short.rpartition(".")[0]
        assert module in paths, f"{name} imports {target}, which is no module of ours"
        assert is_pure(module, paths[module]) or not paths[module].stem.strip("_").replace(
            "init", ""
        ), f"{name} imports {target}, which is not pure"


def test_top_folders_are_no_packages() -> None:
    """An __init__.py in queue/ would hide the standard library's queue."""
    for top in (*TOP, "etc"):
        assert not (ROOT / top / "__init__.py").exists()
        assert (ROOT / "columba" / top).is_symlink()
