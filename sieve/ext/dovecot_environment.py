"""vnd.dovecot.environment: more items for environment, and all items as variables ${env.…}.

Pure. rfc5183_environment.py finds the items. A variable can't have a hyphen in its name, so "_" may stand for it.
"""

from typing import Final

from columba.sieve.ext.rfc5183_environment import item_value
from columba.sieve.lang.stage import EVERYWHERE
from columba.sieve.lang.words import Extension
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text


def _namespace(rest: str) -> Text:
    def get(run: Run) -> str:
        for name in (rest, rest.replace("_", "-")):
            value = item_value(run, name, has_vendor=True)
            if value is not None:
                return value
        return ""

    return Text(get)


DOVECOT_ENVIRONMENT: Final = Extension(
    "vnd.dovecot.environment",
    implies=("environment",),
    namespaces={"env": _namespace},
    stages=EVERYWHERE,
)
