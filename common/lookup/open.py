"""From a URL to a look-up table: `inline:a=b,c`, `file:/path`, `passwd-file:/path`."""

from collections.abc import Mapping
from pathlib import Path

from columba.common.errors import ConfigError
from columba.common.lookup.base import Table
from columba.common.lookup.lines import parse_inline, parse_lines, parse_passwd
from columba.common.lookup.tables import FileTable, InlineTable
from columba.common.off_loop import OffLoop


def open_table(name: str, url: str, off_loop: OffLoop) -> Table:
    """Return the table; raises ConfigError when the URL is none that we know."""
    scheme, _, rest = url.partition(":")
    match scheme:
        case "inline":
            return InlineTable(parse_inline(rest))
        case "file" | "passwd-file" if rest.startswith("/"):
            return FileTable(
                Path(rest), parse_lines if scheme == "file" else parse_passwd, off_loop
            )
        case "file" | "passwd-file":
            raise ConfigError(f"lookup {name}: {url!r} needs an absolute path")
    raise ConfigError(f"lookup {name}: no table of kind {scheme!r} (inline, file, passwd-file)")


def open_tables(urls: Mapping[str, str], off_loop: OffLoop) -> dict[str, Table]:
    """Return all tables by name; raises ConfigError."""
    return {name: open_table(name, url, off_loop) for name, url in urls.items()}
