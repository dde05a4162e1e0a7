"""Run a development server in the foreground until Ctrl-C, and show two mails on their way."""

import asyncio
import contextlib
import signal
import smtplib
import sys
from pathlib import Path
from typing import Final

from columba.common.errors import EX_UNAVAILABLE
from columba.master.dev import demo
from columba.master.dev.elsewhere import Elsewhere
from columba.master.dev.plan import PASSWORD, USER, Plan

CHAIN: Final = ("sieve", "dkim", "delivery", "queue")
PUBLISHED_S: Final = 0.5  # until everybody has heard of a new worker
START_S: Final = 30.0
STOP_S: Final = 75.0


async def serve(plan: Plan, elsewhere_port: int, is_once: bool) -> int:
    """Start the server, send the mails, wait for Ctrl-C (or, is_once, not); return the exit code."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    master = await _start(plan)
    code = 0
    try:
        async with asyncio.TaskGroup() as group:
            kept = await asyncio.to_thread(_folder, plan)
            hop = group.create_task(Elsewhere(kept, elsewhere_port).serve())
            ended = group.create_task(master.wait())
            wished = group.create_task(asked.wait())
            shown = group.create_task(_show(plan, elsewhere_port))
            await asyncio.wait({ended, shown, wished}, return_when=asyncio.FIRST_COMPLETED)
            if shown.done():
                code = shown.result()
            if not (is_once and shown.done()):
                await asyncio.wait({ended, wished}, return_when=asyncio.FIRST_COMPLETED)
            for task in (hop, ended, wished, shown):
                task.cancel()
    finally:
        await _end(master)
    return master.returncode or code


async def _start(plan: Plan) -> asyncio.subprocess.Process:
    """Start the master in a process group of its own: Ctrl-C is for us, and we tell it."""
    argv = [sys.executable, "-m", "columba.master.main", "-F", "-c", str(plan.config)]
    return await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "TERM", *argv, stdin=asyncio.subprocess.DEVNULL, process_group=0
    )


async def _end(master: asyncio.subprocess.Process) -> None:
    """Stop the master; what does not end in time is killed."""
    if master.returncode is not None:
        return
    print("\nstopping …", flush=True)
    with contextlib.suppress(ProcessLookupError):
        master.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await master.wait()
    except TimeoutError:
        master.kill()
        await master.wait()
    print("stopped", flush=True)


async def _show(plan: Plan, elsewhere_port: int) -> int:
    """Send the mails and print their ways; 1 if one was not accepted."""
    ports = (plan.smtp_port, plan.submission_port, plan.submissions_port, elsewhere_port)
    try:
        async with asyncio.timeout(START_S):
            for port in ports:
                await _wait_greeting(port)
            while not _has_workers(plan):  # noqa: ASYNC110  # files in a folder wake nobody
                await asyncio.sleep(0.1)
            await asyncio.sleep(PUBLISHED_S)
    except TimeoutError:
        print(f"not ready after {START_S:.0f} s: see {plan.log}", flush=True)
        return EX_UNAVAILABLE
    code = 0
    for title, send in (
        (f"A mail from {USER} through submission", demo.submit),
        (f"A mail from outside to {USER}", demo.receive),
    ):
        try:
            sent = await asyncio.to_thread(send, plan)
        except (OSError, smtplib.SMTPException) as error:
            print(f"\n{title} failed: {error!r}", flush=True)
            code = EX_UNAVAILABLE
            continue
        print(f"\n{title}: {sent.code} {sent.text} (after {sent.took_ms:.0f} ms)", flush=True)
        if sent.id:
            print(await asyncio.to_thread(demo.trace, plan, sent), flush=True)
        code = code if sent.code == 250 else EX_UNAVAILABLE
    print(_usage(plan, elsewhere_port), flush=True)
    return code


def _has_workers(plan: Plan) -> bool:
    """Tell whether every service of the chain has bound its sockets."""
    return all(any((plan.run / name).glob("*.*")) for name in CHAIN)


async def _wait_greeting(port: int) -> None:
    """Wait until something listens on a port; the caller sets the limit."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)


def _folder(plan: Plan) -> Path:
    """Make the folder where the next hop keeps what it takes."""
    folder = plan.root / "elsewhere"
    folder.mkdir(exist_ok=True)
    return folder


def _usage(plan: Plan, elsewhere_port: int) -> str:
    """Return what to do next."""
    root = plan.root
    local, _, domain = USER.partition("@")
    return f"""
Columba runs. Send more with any SMTP client, for example:
  swaks --server 127.0.0.1:{plan.submission_port} --tls --auth-user {USER} \\
        --auth-password '{PASSWORD}' --from {USER} --to anyone@elsewhere.test
  swaks --server 127.0.0.1:{plan.smtp_port} --from you@elsewhere.test --to {USER}

  port {plan.smtp_port} SMTP, {plan.submission_port} submission (STARTTLS), {plan.submissions_port} submissions (TLS)
  user {USER}, password "{PASSWORD}"
  mailbox      {plan.mail / domain / local}
  what left    {root / "elsewhere"} (everything that is not for {domain} goes to port {elsewhere_port} here)
  log          {plan.log}
  look around  {columbadm()} -c {plan.config} service status

Ctrl-C ends it."""


def columbadm() -> str:
    """Return how the administrator's tool is called here: by name where it is installed beside Python."""
    tool = Path(sys.executable).with_name("columbadm")
    return str(tool) if tool.exists() else f"{sys.executable} -m columba.master.cli"
