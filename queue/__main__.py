"""The queue service's process."""

import sys

from columba.common.service import run
from columba.queue.service import QueueService
from columba.queue.settings import Settings

if __name__ == "__main__":
    sys.exit(run(QueueService, Settings))
