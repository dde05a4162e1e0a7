"""Start anvil; the master does this."""

import sys

from columba.common import service
from columba.master.anvil.service import Anvil
from columba.master.anvil.settings import Settings

if __name__ == "__main__":
    sys.exit(service.run(Anvil, Settings))
