"""The moments of a message's life at which a script runs.

Pure: names only. Which word is legal at which stage stands with the word (its Word.stages); the sets
here are the vocabulary for that.
"""

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """When a script runs; it is compiled for one of these.

    DELIVERY is a plain RFC 5228 script with one message and one recipient, as the tester runs it.
    """

    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    ROUTE = "route"
    RETRY = "retry"
    BOUNCE = "bounce"
    DELIVERY = "delivery"


EVERYWHERE: Final = frozenset(Stage)
# The client waits for the answer to a command, and no message is there yet.
SESSION: Final = frozenset({Stage.CONNECT, Stage.HELO, Stage.AUTH, Stage.MAIL, Stage.RCPT})
# The whole message can be looked at.
MESSAGE: Final = frozenset({Stage.DATA, Stage.ROUTE, Stage.RETRY, Stage.BOUNCE, Stage.DELIVERY})
# The sender is known.
ENVELOPE: Final = MESSAGE | {Stage.MAIL, Stage.RCPT}
# What happens to the message is decided here.
DISPOSITION: Final = frozenset({Stage.DATA, Stage.ROUTE, Stage.DELIVERY})
# Decided for each recipient alone: in data, actions hold for all recipients.
PER_RECIPIENT: Final = frozenset({Stage.ROUTE, Stage.DELIVERY})
# The queue asks; there is a header, no body.
QUEUE: Final = frozenset({Stage.RETRY, Stage.BOUNCE})
# The message itself can be read and changed: header and body.
CONTENT: Final = DISPOSITION
# An SMTP reply can be given: to a command, to the message, or for one recipient.
ANSWER: Final = SESSION | {Stage.DATA, Stage.ROUTE}
