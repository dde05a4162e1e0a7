"""The administrator's commands against a real queue process: what they show, what they do, and what survives."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.master.cli.client import AskError, ask
from columba.queue.record import DELETED
from columba.queue.store.base import ANYTHING
from columba.queue.store.file import FileStore
from tests.fakes.queue_process import ROOT, Bench, all_as, bench_in, intake

CONF = """columba_config_version = 1.0
hostname = mx.example.org
base_dir = {run}
state_dir = {folder}/state
default_internal_user =
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    times: dict[str, object] = {
        "queue_fresh_delay": 3600.0,
        "queue_look_interval": 0.3,
        "queue_lease_ttl": 1.0,
        "queue_lease_margin": 0.3,
    }
    async with bench_in(tmp_path, **times) as made:
        (tmp_path / "columba.conf").write_text(CONF.format(run=made.run, folder=tmp_path))
        await made.queue()
        yield made


async def tool(bench: Bench, *words: str, status: int = 0) -> str:
    """Return what columbadm says."""
    done = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "columba.master.cli",
            "-c",
            str(bench.folder / "columba.conf"),
            *words,
        ],
        capture_output=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == status, said
    return said


async def stored(bench: Bench, *addresses: str, **fields: object) -> str:
    request = intake(*addresses, **fields)
    assert isinstance(await bench.ask(request, b"Subject: hello\r\n", b"body\r\n"), wire.Stored)
    return request.handoff.id


async def test_mails_are_named_by_queries(bench: Bench) -> None:
    first = await stored(bench, "a@gmail.com")
    second = await stored(bench, "b@example.net", "c@example.net")
    rows = json.loads(await tool(bench, "-f", "json", "queue", "list"))
    assert {row["id"] for row in rows} == {first, second}
    rows = json.loads(await tool(bench, "-f", "json", "queue", "list", "destination=gmail.com"))
    assert [row["id"] for row in rows] == [first]
    assert second in await tool(bench, "queue", "list", "recipient=c@* AND NOT age>1h")
    assert await tool(bench, "-f", "json", "queue", "list", "sender=nobody@*") == "[]\n"
    (total, *lines) = json.loads(await tool(bench, "-f", "json", "queue", "summary"))
    assert (total["destination"], total["messages"], total["5m"]) == ("TOTAL", 2, 2)
    assert {line["destination"] for line in lines} == {"mx:gmail.com", "mx:example.net"}
    rows = json.loads(await tool(bench, "-f", "json", "queue", "show", second))
    assert [row["recipient"] for row in rows] == ["b@example.net", "c@example.net"]
    assert await tool(bench, "queue", "cat", first) == "Subject: hello\n\nbody\n"
    assert await tool(bench, "queue", "cat", "-b", first) == "body\n"


async def test_what_can_not_be_undone_wants_a_yes(bench: Bench) -> None:
    first, second = await stored(bench, "a@x.example"), await stored(bench, "b@y.example")
    said = await tool(bench, "queue", "delete", "destination=x.example", status=64)
    assert "delete: 1 mail" in said
    assert "--yes" in said
    assert len(bench.pending()) == 2
    await tool(bench, "queue", "delete", "--yes", "destination=x.example")
    assert bench.pending() == [(second, "1")]
    (gone,) = [r for r in bench.records() if r.id == first]
    assert gone.recipients[0].state == DELETED
    assert "no mail is meant" in await tool(bench, "queue", "delete", "--yes", "age>1h", status=68)
    await tool(bench, "queue", "delete", "--yes", "sender<a", status=65)
    await asyncio.to_thread(_order_all_without_saying_so, bench)
    await tool(bench, "queue", "hold", "-A")
    await tool(bench, "queue", "delete", "--yes", "-A")
    assert bench.pending() == []


def _order_all_without_saying_so(bench: Bench) -> None:
    """A script that fills in an empty variable means no mail, not all of them; nor is a time infinite."""
    (path,) = (bench.run / "admin").glob("queue.*")
    for command in ("delete", "bounce", "hold", "release", "reroute", "retry-at", "flush"):
        for query in ({"query": ""}, {"query": " \t"}, {"all": True, "query": "age>1h"}, {}):
            with pytest.raises(AskError):
                ask(path, command, to="discard", at=1e9, **query)
    for at_s in (float("inf"), float("nan"), 10**400, -1):
        with pytest.raises(AskError):
            ask(path, "retry-at", all=True, at=at_s)
        with pytest.raises(AskError):
            ask(path, "suspend", query="age>1h", until=at_s)
    assert len(bench.pending()) == 1


async def test_a_bounced_mail_is_reported_once_and_a_held_one_waits(bench: Bench) -> None:
    id = await stored(bench, "a@x.example")
    await tool(bench, "queue", "hold", "-r", "looks odd", id)
    (row,) = json.loads(await tool(bench, "-f", "json", "queue", "list", "state=held"))
    assert row["reason"] == "looks odd"
    await tool(bench, "queue", "bounce", "--yes", "-r", "not wanted here", "hold=looks*")
    await bench.wait_for(lambda: any(r.id == id and r.is_tombstone for r in bench.records()))
    (dsn,) = [r for r in bench.records() if r.kind == "generated"]
    assert b"not wanted here" in dsn.body
    assert dsn.recipients[0].spec["address"] == b"sender@example.org"


async def test_another_way_and_another_time(bench: Bench) -> None:
    id = await stored(bench, "a@x.example")
    await tool(bench, "queue", "retry-at", "2h", id)
    (row,) = json.loads(await tool(bench, "-f", "json", "queue", "list"))
    assert 7000 < row["next"] <= 7200
    await tool(bench, "queue", "reroute", "--yes", "--to", "nowhere", id, status=65)
    await tool(bench, "queue", "reroute", "--yes", "--to", "relay:relay.example.org:2525", id)
    (record,) = bench.records()
    assert record.recipients[0].spec["pinned"] is True
    (row,) = json.loads(await tool(bench, "-f", "json", "queue", "show", id))
    assert row["destination"] == "relay:relay.example.org:2525"


async def test_a_rule_keeps_mail_that_comes_later_and_survives_a_kill(bench: Bench) -> None:
    await bench.play_sieve(all_as("delivered"))
    await tool(bench, "queue", "suspend", "destination=x.example", "until", "1h", "-r", "moving")
    id = await stored(bench, "a@x.example")
    await tool(bench, "queue", "flush")
    bench.bury(bench.processes[0])
    await asyncio.sleep(1.2)  # its lease ends
    await bench.queue()
    (rule,) = json.loads(await tool(bench, "-f", "json", "queue", "rules"))
    assert (rule["query"], rule["reason"]) == ("destination=x.example", "moving")
    assert 3000 < rule["until"] - time.time() <= 3600
    await tool(bench, "queue", "flush")
    rows: list[dict[str, object]] = []
    for _ in range(100):
        rows = json.loads(await tool(bench, "-f", "json", "queue", "list", "state=suspended"))
        if rows:
            break
    assert [row["id"] for row in rows] == [id]
    gone = json.loads(await tool(bench, "-f", "json", "queue", "resume", str(rule["rule"])))
    assert [row["rule"] for row in gone] == [rule["rule"]]
    assert await tool(bench, "-f", "json", "queue", "rules") == "[]\n"
    await tool(bench, "queue", "flush")
    await bench.wait_for(lambda: not bench.pending())


async def test_mails_go_out_and_come_back_with_their_envelopes(
    bench: Bench, tmp_path: Path
) -> None:
    ids = [await stored(bench, "a@x.example", "b@y.example") for _ in range(3)]
    request = intake("big@x.example")
    body = b"From here\r\n" * 30_000
    assert isinstance(await bench.ask(request, b"Subject: big\r\n", body), wire.Stored)
    ids.append(request.handoff.id)
    file, folder = str(tmp_path / "out.mbox"), str(tmp_path / "out")
    said = await tool(bench, "-f", "json", "queue", "export", "-A", "-o", file)
    assert "export: 4 mails" in said
    assert {row["id"] for row in json.loads(said[: said.index("]") + 1])} == set(ids)
    await tool(bench, "queue", "export", "-A", "-o", folder, "--format", "eml")
    before = {
        r.id: (r.header, r.body or r.body_size, r.envelope["sender"]) for r in bench.records()
    }
    assert "import: 4 mails" in await tool(bench, "queue", "import", file)
    assert len(bench.records()) == 4, "what is queued already stays so"
    store = FileStore(bench.store_folder)
    bench.bury(bench.processes[0])
    for key in store.list("env/").keys:
        store.delete(key)
    await asyncio.sleep(1.2)
    await bench.queue()
    await tool(bench, "queue", "import", "--hold", "moved", folder)
    after = {r.id: (r.header, r.body or r.body_size, r.envelope["sender"]) for r in bench.records()}
    assert after == before
    assert all(r.hold == "moved" for r in bench.records())
    assert len(bench.pending()) == 7


async def test_mails_without_an_owner_are_hinted_at(bench: Bench) -> None:
    await stored(bench, "a@x.example")
    assert "without a process" not in await tool(bench, "queue", "list")
    bench.bury(bench.processes[0])
    (bench.folder / "state" / "queue-node").rename(bench.folder / "gone")  # of another machine
    await bench.queue()
    await bench.ask_admin("cluster-leave")
    await asyncio.sleep(1.5)  # nobody takes the lease, which ends
    said = await tool(bench, "queue", "list")
    assert "owners without a process, whose mails are not shown" in said
    assert await tool(bench, "-f", "json", "queue", "list") == "[]\n"


async def test_an_unreadable_record_is_listed_and_said_once(bench: Bench) -> None:
    id = await stored(bench, "a@x.example")
    store = FileStore(bench.store_folder)
    (key,) = store.list("env/").keys
    store.put(key, b"garbage", ANYTHING)
    bench.bury(bench.processes[0])
    await asyncio.sleep(1.2)
    await bench.queue()
    await bench.wait_for(lambda: "can't be read" in bench.log())
    await asyncio.sleep(2.5)  # listed again, and again
    assert bench.log().count("can't be read") == 1
    (row,) = json.loads(await tool(bench, "-f", "json", "queue", "list", "state=unreadable"))
    assert row["id"] == id
