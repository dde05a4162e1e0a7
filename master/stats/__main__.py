"""Start stats; the master does this."""

import sys

from columba.common import service
from columba.master.stats.service import Stats
from columba.master.stats.settings import Settings

if __name__ == "__main__":
    sys.exit(service.run(Stats, Settings))
