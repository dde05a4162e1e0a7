"""The delivery service's process: python -m columba.delivery."""

import sys

from columba.common.service import run
from columba.delivery.service import Delivery
from columba.delivery.settings import Settings

sys.exit(run(Delivery, Settings))
