"""Start the log service; the master does this."""

import sys

from columba.common import service
from columba.master.log.service import Log
from columba.master.log.settings import Settings

if __name__ == "__main__":
    sys.exit(service.run(Log, Settings))
