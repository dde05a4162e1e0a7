"""The dkim service's process: python -m columba.delivery.signer."""

import sys

from columba.common.service import run
from columba.delivery.signer.service import Signer
from columba.delivery.signer.settings import Settings

sys.exit(run(Signer, Settings))
