"""Add up the series of all processes, and write them as OpenMetrics text.

Pure. Source: the OpenMetrics 1.0 text format (counters end in `_total`, a histogram has `_bucket`, `_sum` and `_count`,
the last line is `# EOF`).
"""

from collections.abc import Iterable
from typing import Final

from columba.common.metrics.registry import Kind, Series

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
NAMES_MAX: Final = 2000  # metrics that are kept, whatever processes send


class Totals:
    """What all processes have counted since this service began; gauges per process that lives."""

    def __init__(self) -> None:
        self._declared: dict[str, Series] = {}
        self._counts: dict[str, dict[tuple[str, ...], list[float]]] = {}
        self._gauges: dict[str, dict[tuple[str, tuple[str, ...]], tuple[float, float]]] = {}

    def take(self, process: str, taken: Iterable[Series], now_s: float) -> int:
        """Add the deltas of a process; return how many series did not fit what is known."""
        return sum(0 if self._take(process, series, now_s) else 1 for series in taken)

    def forget(self, before_s: float) -> None:
        """Drop gauges of processes that have sent nothing since then."""
        for values in self._gauges.values():
            for key in [key for key, (_, at_s) in values.items() if at_s < before_s]:
                del values[key]

    def alive(self, process: str, now_s: float) -> None:
        """Note that a process has sent something: its gauges hold."""
        for values in self._gauges.values():
            for key, (value, _) in list(values.items()):
                if key[0] == process:
                    values[key] = (value, now_s)

    def render(self) -> str:
        """Return the OpenMetrics text."""
        lines: list[str] = []
        for name, first in sorted(self._declared.items()):
            lines.append(f"# TYPE {name} {first.kind}")
            if first.unit:
                lines.append(f"# UNIT {name} {first.unit}")
            lines.append(f"# HELP {name} {_escape(first.help)}")
            lines += self._lines(name, first)
        return "\n".join([*lines, "# EOF", ""])

    def _take(self, process: str, series: Series, now_s: float) -> bool:
        known = self._declared.get(series.name)
        if known is None and len(self._declared) >= NAMES_MAX:
            return False
        known = self._declared.setdefault(series.name, series)
        same = (known.kind, known.labels, known.bounds) == (
            series.kind,
            series.labels,
            series.bounds,
        )
        width = len(series.bounds) + 2 if series.kind == Kind.HISTOGRAM.value else 1
        if (
            not same
            or len(series.values) != width
            or len(series.label_values) != len(series.labels)
        ):
            return False
        if series.kind == Kind.GAUGE.value:
            key = (process, series.label_values)
            self._gauges.setdefault(series.name, {})[key] = (series.values[0], now_s)
            return True
        counts = self._counts.setdefault(series.name, {})
        numbers = counts.setdefault(series.label_values, [0.0] * width)
        numbers[:] = [a + b for a, b in zip(numbers, series.values, strict=True)]
        return True

    def _lines(self, name: str, first: Series) -> list[str]:
        if first.kind == Kind.GAUGE.value:
            sums: dict[tuple[str, ...], float] = {}
            for (_, labels), (value, _) in self._gauges.get(name, {}).items():
                sums[labels] = sums.get(labels, 0.0) + value
            return [
                f"{name}{_labels(first, labels)} {_number(v)}" for labels, v in sorted(sums.items())
            ]
        counts = sorted(self._counts.get(name, {}).items())
        if first.kind == Kind.COUNTER.value:
            return [f"{name}_total{_labels(first, labels)} {_number(v[0])}" for labels, v in counts]
        return [line for labels, v in counts for line in _histogram(name, first, labels, v)]


def _histogram(name: str, first: Series, labels: tuple[str, ...], values: list[float]) -> list[str]:
    lines, count = [], 0.0
    for bound, more in zip([*map(_number, first.bounds), "+Inf"], values[1:], strict=True):
        count += more
        lines.append(f"{name}_bucket{_labels(first, labels, bound)} {_number(count)}")
    lines.append(f"{name}_sum{_labels(first, labels)} {_number(values[0])}")
    lines.append(f"{name}_count{_labels(first, labels)} {_number(count)}")
    return lines


def _labels(first: Series, values: tuple[str, ...], le: str = "") -> str:
    pairs = [f'{k}="{_escape(v)}"' for k, v in zip(first.labels, values, strict=True)]
    pairs += [f'le="{le}"'] if le else []
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
