"""Start auth; the master does this."""

import sys

from columba.common import service
from columba.master.auth.service import Auth
from columba.master.auth.settings import Settings

if __name__ == "__main__":
    sys.exit(service.run(Auth, Settings))
