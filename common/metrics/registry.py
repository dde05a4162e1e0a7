"""Count in this process, and give away what has changed since the last time.

Pure. A metric is declared at the top of the module that counts it, as an immutable Metric; the counts stand in the
Registry that the process owns. Labels have few, bounded values: past SERIES_MAX of a metric, counts go to the
series `other`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

SERIES_MAX: Final = 200  # of one metric
OTHER: Final = "other"
SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)  # usual bounds of durations


class Kind(Enum):
    """What a number means."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A declaration. `name` ends in its unit (`_seconds`, `_bytes`) if it has one; bounds are of a histogram."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Series(msgspec.Struct, frozen=True, array_like=True):
    """One series on its way to stats: numbers are deltas, those of a gauge the value itself.

    values: [count] or [value]; of a histogram [sum, count in bucket 0, …, count past the last bound].
    """

    name: str
    kind: str
    help: str
    unit: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    label_values: tuple[str, ...]
    values: tuple[float, ...]


def counter(name: str, help: str, labels: tuple[str, ...] = (), unit: str = "") -> Metric:
    """Declare a count that only grows."""
    return Metric(name, Kind.COUNTER, help, unit, labels)


def gauge(name: str, help: str, labels: tuple[str, ...] = (), unit: str = "") -> Metric:
    """Declare a number that goes up and down; the processes' values are added."""
    return Metric(name, Kind.GAUGE, help, unit, labels)


def histogram(
    name: str,
    help: str,
    unit: str,
    bounds: tuple[float, ...] = SECONDS,
    labels: tuple[str, ...] = (),
) -> Metric:
    """Declare a distribution."""
    return Metric(name, Kind.HISTOGRAM, help, unit, labels, bounds)


class Registry:
    """The counts of one process."""

    def __init__(self) -> None:
        self._values: dict[Metric, dict[tuple[str, ...], list[float]]] = {}
        self._changed: set[tuple[Metric, tuple[str, ...]]] = set()

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Count; labels are the values of the metric's labels, in order."""
        self._series(metric, labels)[0] += amount

    def set(self, metric: Metric, *labels: str, value: float) -> None:
        """Give a gauge its value."""
        self._series(metric, labels)[0] = value

    def observe(self, metric: Metric, *labels: str, value: float) -> None:
        """Add a value to a histogram."""
        numbers = self._series(metric, labels)
        numbers[0] += value
        place = sum(1 for bound in metric.bounds if value > bound)
        numbers[1 + place] += 1

    def take(self) -> list[Series]:
        """Return all that has changed since the last call; counts begin again at 0, gauges stay."""
        taken = []
        for metric, labels in sorted(self._changed, key=lambda pair: (pair[0].name, pair[1])):
            numbers = self._values[metric][labels]
            taken.append(_series(metric, labels, numbers))
            if metric.kind is not Kind.GAUGE:
                numbers[:] = [0.0] * len(numbers)
        self._changed.clear()
        return taken

    def give_back(self, taken: Iterable[Series]) -> None:
        """Count again what could not be sent."""
        by_name = {metric.name: metric for metric in self._values}
        for series in taken:
            metric = by_name[series.name]
            numbers = self._series(metric, series.label_values)
            if metric.kind is not Kind.GAUGE:
                numbers[:] = [a + b for a, b in zip(numbers, series.values, strict=True)]

    def _series(self, metric: Metric, labels: tuple[str, ...]) -> list[float]:
        assert len(labels) == len(metric.labels), f"{metric.name} has labels {metric.labels}"
        known = self._values.setdefault(metric, {})
        if labels not in known and len(known) >= SERIES_MAX:
            labels = (OTHER,) * len(labels)
        self._changed.add((metric, labels))
        width = len(metric.bounds) + 2 if metric.kind is Kind.HISTOGRAM else 1
        return known.setdefault(labels, [0.0] * width)


def _series(metric: Metric, labels: tuple[str, ...], numbers: list[float]) -> Series:
    return Series(
        metric.name,
        metric.kind.value,
        metric.help,
        metric.unit,
        metric.labels,
        metric.bounds,
        labels,
        tuple(numbers),
    )
