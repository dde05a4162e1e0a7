"""Start one sieve-filter process; the master does this."""

import sys

from columba.common import service
from columba.sieve.service import SieveFilter
from columba.sieve.settings import Settings

if __name__ == "__main__":
    sys.exit(service.run(SieveFilter, Settings))
