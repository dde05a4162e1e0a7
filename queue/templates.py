"""The translations of reports: one file LANGUAGE.toml each, in `dsn_template_dir` or as shipped.

A file that can't be used is a warning, and its readers get English: no report is lost to a typing mistake.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

import columba
from columba.common.log.event import Event
from columba.common.mail.dsn_words import Words, WordsError, words_of

SHIPPED: Final = Path(columba.__file__).parent / "etc" / "dsn"
_NAME: Final = re.compile(r"[a-z]{2,8}")
_LIMIT: Final = 64 * 1024


def load_words(folder: str, event: Event) -> dict[str, Words]:
    """Return the words by language; "" = the shipped folder. Blocks; errors are logged."""
    found: dict[str, Words] = {}
    try:
        paths = sorted(Path(folder or SHIPPED).glob("*.toml"))
    except OSError as error:
        event.warning("No translations of reports", folder=folder, error=str(error))
        return found
    for path in paths:
        if not _NAME.fullmatch(path.stem):
            event.warning("A translation must be named LANGUAGE.toml", file=str(path))
            continue
        try:
            with path.open("rb") as file:
                text = file.read(_LIMIT).decode()
            found[path.stem] = words_of(tomllib.loads(text), path.stem)
        except (OSError, ValueError, WordsError) as error:
            event.warning("A translation can't be used", file=str(path), error=str(error))
    return found
