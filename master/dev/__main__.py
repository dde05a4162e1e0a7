"""`make run`: a mail server of one's own under ./var."""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from columba.common.errors import EX_UNAVAILABLE
from columba.master.dev import readers
from columba.master.dev.plan import Plan
from columba.master.dev.prepare import prepare
from columba.master.dev.serve import serve


def main() -> int:
    """Prepare, start, show; return the exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--var", type=Path, default=Path("var"), help="folder of the server")
    parser.add_argument("--smtp", type=int, default=2525, help="port")
    parser.add_argument("--submission", type=int, default=2587, help="port (STARTTLS)")
    parser.add_argument("--submissions", type=int, default=2465, help="port (TLS)")
    parser.add_argument("--elsewhere", type=int, default=2526, help="port of the next hop")
    parser.add_argument("--once", action="store_true", help="stop after the two mails")
    wish = parser.parse_args()
    why = readers.obstacle(readers.interpreter())
    if why:
        print(f"All services run as one user: {why}.", flush=True)
    plan = Plan(wish.var.resolve(), wish.smtp, wish.submission, wish.submissions)
    plan = replace(plan, relay=f"127.0.0.1:{wish.elsewhere}", own_users=not why)
    prepare(plan)
    try:
        return asyncio.run(serve(plan, wish.elsewhere, wish.once))
    except (OSError, TimeoutError) as error:
        print(f"Columba did not start: {error}", flush=True)
        return EX_UNAVAILABLE


if __name__ == "__main__":
    raise SystemExit(main())
