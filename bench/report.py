"""Rows of the comparison and the file they are kept in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"


@dataclass(frozen=True)
class Row:
    """One comparison. `goal` is what `ratio` must reach, or, in ms, what may be added at most.

    Without a peer, `goal` is what `ours` may be at most, or must reach where it is a rate.
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str | None
    unit: str
    ratio: float | None
    goal: float
    met: bool

    def __str__(self) -> str:
        """Return the line that is printed."""
        verdict = "met" if self.met else "NOT met"
        if self.peer is None:
            bound = "at least" if self.unit.endswith("/s") else "at most"
            return f"{self.name}: {self.ours:.4g} {self.unit}; {bound} {self.goal:g}: {verdict}"
        return (
            f"{self.name}: {self.ours:.4g} against {self.peer:.4g} {self.unit} "
            f"({self.peer_name}); ratio {self.ratio:.2f}, goal {self.goal:g}: {verdict}"
        )


def faster(name: str, ours: float, peer: float, peer_name: str, goal: float) -> Row:
    """Compare two throughputs in messages/s."""
    ratio = round(ours / peer, 2)
    return Row(
        name, round(ours, 1), round(peer, 1), peer_name, "messages/s", ratio, goal, ratio >= goal
    )


def added(name: str, ours_ms: float, peer_ms: float, peer_name: str, goal_ms: float) -> Row:
    """Compare two times: what ours adds must stay within goal_ms."""
    met = ours_ms - peer_ms <= goal_ms
    ratio = round(ours_ms / peer_ms, 2)
    return Row(name, round(ours_ms, 3), round(peer_ms, 3), peer_name, "ms", ratio, goal_ms, met)


def within(name: str, ours: float, unit: str, goal: float) -> Row:
    """Hold a figure of ours, which has no peer, against the most that it may be."""
    return Row(name, round(ours, 1), None, None, unit, None, goal, ours <= goal)


def reaches(name: str, ours: float, goal: float) -> Row:
    """Hold a rate of ours, in messages/s, against what it must reach."""
    return Row(name, round(ours, 1), None, None, "messages/s", None, goal, ours >= goal)


def slower(name: str, ours_ms: float, peer_ms: float, peer_name: str, goal: float) -> Row:
    """Compare two times: ours may be `goal` times the other at most."""
    ratio = round(ours_ms / peer_ms, 2)
    return Row(
        name, round(ours_ms, 2), round(peer_ms, 2), peer_name, "ms", ratio, goal, ratio <= goal
    )


def write(rows: list[Row], path: Path = RESULTS) -> None:
    """Put the rows into the file; rows of other names that it holds are kept."""
    path.parent.mkdir(exist_ok=True)
    old: list[dict[str, object]] = []
    if path.exists():
        old = json.loads(path.read_text())["rows"]
    names = {row.name for row in rows}
    kept = [row for row in old if row["name"] not in names]
    text = json.dumps({"rows": [*(asdict(row) for row in rows), *kept]}, indent=2)
    path.write_text(text + "\n")
