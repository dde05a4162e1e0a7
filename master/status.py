"""What `columbadm service status` and `process status` show.

Pure: state goes in, rows come out.
"""

from collections.abc import Iterable

from columba.master.state import Phase, Process, Service

Row = dict[str, str | int | float | bool | None]


def service_rows(services: Iterable[Service], now_s: float) -> list[Row]:
    """Return a row per service."""
    return [
        {
            "name": each.spec.name,
            "process_count": len(each.processes),
            "process_avail": sum(
                1 for p in each.processes if p.phase is Phase.READY and p.available
            ),
            "process_limit": each.spec.process_limit,
            "client_limit": each.spec.client_limit,
            "throttle_secs": round(max(0.0, each.throttled_until_s - now_s), 3),
            "exit_failures": len(each.failures_s),
            "listening": bool(each.spec.listeners),
            "process_total": each.started_total,
        }
        for each in services
    ]


def process_rows(processes: Iterable[Process], now_s: float) -> list[Row]:
    """Return a row per process."""
    return [
        {
            "service": p.service,
            "pid": p.pid,
            "slot": p.slot,
            "generation": p.generation,
            "state": p.phase.value,
            "available_count": p.available,
            "age_secs": round(now_s - p.started_s, 1),
            "idle_secs": None if p.idle_since_s is None else round(now_s - p.idle_since_s, 1),
            "last_status_secs": round(now_s - p.heard_s, 1),
        }
        for p in processes
    ]
