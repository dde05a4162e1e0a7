"""The queue service's process."""

import sys

from columba.common.service import Context, Service, run
from columba.queue.service import QueueService
from columba.queue.settings import Settings
from columba.queue.witness import Witness, is_witness


def make(context: Context[Settings]) -> Service:
    """Return what this machine is to the queue: an owner of mail, or a witness."""
    return Witness(context) if is_witness(context.settings) else QueueService(context)


if __name__ == "__main__":
    sys.exit(run(make, Settings))
