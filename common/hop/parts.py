"""Put together what a step of the chain needs, from its context and settings."""

import time

from columba.common.config.general import Handing
from columba.common.hop.admission import Admission
from columba.common.hop.chain import Chain, Delays, Next
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.service import Context


def make_queue(context: Context[Handing]) -> QueueClient:
    """Return this process's way to the queue."""
    return QueueClient(context.caller, context.directory, context.event)


def make_chain(context: Context[Handing], queue: QueueClient) -> Chain:
    """Return what hands over to the next step."""
    settings = context.settings
    delays = Delays(settings.takeover_delay, settings.in_doubt_delay)
    return Chain(context.name, context.caller, queue, delays, context.event)


def make_next(context: Context[Handing], service: str, step: wire.StepName) -> Next:
    """Return the next step with an admission limit of its own."""
    settings = context.settings
    admission = Admission(
        settings.handoff_limit, settings.sync_latency_limit * 1000, time.monotonic_ns()
    )
    return Next(service, step, admission)
