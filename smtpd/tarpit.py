"""Hold back answers to clients that make many errors: who guesses addresses or passwords gets on slowly."""

import asyncio
import dataclasses

from columba.smtpd.conversation import Conversation, Response


def tarpit_s(conversation: Conversation, response: Response) -> float:
    """Return how long this answer is to be held back, in seconds."""
    settings = conversation.profile.settings
    is_error = len(response.replies) == 1 and not response.replies[0].positive
    if not is_error or response.is_late or response.told is not None:
        return 0.0
    if conversation.core.errors < settings.tarpit_after or conversation.session.is_trusted:
        return 0.0
    return settings.tarpit_delay


async def hold_back(response: Response, delay_s: float) -> Response:
    """Return the response when its time has come."""
    await asyncio.sleep(delay_s)
    return dataclasses.replace(response, is_late=True)
