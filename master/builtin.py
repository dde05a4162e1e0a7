"""The built-in services, written in the configuration's own language; columba.conf is laid over it.

Pure: text only.
"""

from typing import Final

SERVICES: Final = {
    "anvil": "columba.master.anvil",
    "log": "columba.master.log",
    "stats": "columba.master.stats",
    "auth": "columba.master.auth",
    "smtpd": "columba.smtpd",
    "sieve": "columba.sieve",
    "dkim": "columba.delivery.signer",
    "delivery": "columba.delivery",
    "queue": "columba.queue",
}

# Their state is in one process: the next one begins when the last has ended.
EXCLUSIVE: Final = ("anvil", "log", "stats", "auth", "queue")
# At stop, each group is told to end when the groups before it are gone: who is called outlives its callers.
# Services of one's own belong to the first group.
STOP_ORDER: Final = (
    ("smtpd",),
    ("sieve",),
    ("dkim",),
    ("delivery",),
    ("queue", "auth", "stats"),
    ("anvil",),
    ("log",),
)
CERTIFICATES: Final = ("smtpd", "delivery")  # get TLS keys as memfds

CONFIG: Final = """
dict default {
}
service anvil {
  executable = python -m columba.master.anvil
  process_min_avail = 1
  process_limit = 1
  client_limit = 10000
  idle_kill_interval = infinite
}
service log {
  executable = python -m columba.master.log
  process_min_avail = 1
  process_limit = 1
  idle_kill_interval = infinite
}
service stats {
  executable = python -m columba.master.stats
  process_min_avail = 1
  process_limit = 1
  client_limit = 100
  idle_kill_interval = infinite
}
service auth {
  executable = python -m columba.master.auth
  user = columba-auth
  process_min_avail = 1
  process_limit = 1
  client_limit = 10000
  idle_kill_interval = infinite
  unix_listener auth-client {
    mode = 0660
  }
}
service smtpd {
  executable = python -m columba.smtpd
  user = $SET:default_login_user
  process_min_avail = 1
  process_limit = %{system:cpu_count}
  client_limit = 10000
  memory_limit = unlimited
}
service sieve {
  executable = python -m columba.sieve
  process_min_avail = 1
  process_limit = %{system:cpu_count}
  client_limit = 2000
}
service dkim {
  executable = python -m columba.delivery.signer
  user = columba-keys
  process_min_avail = 1
  process_limit = %{system:cpu_count}
  client_limit = 2000
}
service delivery {
  executable = python -m columba.delivery
  process_min_avail = 1
  process_limit = %{system:cpu_count}
  client_limit = 2000
}
service queue {
  executable = python -m columba.queue
  process_min_avail = 1
  process_limit = 1
  client_limit = 400
  memory_limit = 2G
  idle_kill_interval = infinite
}
"""
