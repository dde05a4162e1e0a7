"""The smtpd process."""

import sys

from columba.common.service import run
from columba.smtpd.service import SmtpService
from columba.smtpd.settings import Settings

if __name__ == "__main__":
    sys.exit(run(SmtpService, Settings))
