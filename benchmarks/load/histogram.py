"""Durations in logarithmic buckets: small, exact enough, and mergeable over processes and repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

_BITS = 7
_STEPS = 1 << _BITS
"""Buckets in each doubling: none is wider than 0.8 % of its value."""


class Histogram(msgspec.Struct):
    """How many durations, in nanoseconds, fell into each bucket. Below 256 ns a bucket holds one value."""

    counts: dict[int, int] = msgspec.field(default_factory=dict)
    """Bucket → durations in it."""
    max_ns: int = 0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Return the histogram of durations in seconds; a negative one counts as 0."""
        values = np.maximum(np.rint(np.asarray(seconds, np.float64) * 1e9), 0).astype(np.int64)
        if not len(values):
            return cls()
        buckets, counts = np.unique(_buckets(values), return_counts=True)
        return cls(dict(zip(buckets.tolist(), counts.tolist(), strict=True)), int(values.max()))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Self:
        """Return the histogram of everything that the parts hold."""
        counts: Counter[int] = Counter()
        max_ns = 0
        for part in parts:
            counts.update(part.counts)
            max_ns = max(max_ns, part.max_ns)
        return cls(dict(sorted(counts.items())), max_ns)

    @property
    def count(self) -> int:
        """Durations."""
        return sum(self.counts.values())

    def quantile_ms(self, share: float) -> float:
        """Return what at least this share of all durations did not exceed: a bucket's upper end, nan if there is none.

        Args:
            share: From 0 to 1; 1 is the longest duration, exactly.
        """
        if not self.counts:
            return float("nan")
        wanted = share * self.count
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            # Sums of counts are exact; a share such as 0.99 is not.
            if seen >= wanted - 1e-9:
                return min(_upper_ns(bucket), self.max_ns) / 1e6
        return self.max_ns / 1e6

    def quantiles_ms(self) -> dict[str, float]:
        """Return what a table of latencies shows, in milliseconds."""
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        return {name: round(self.quantile_ms(share), 4) for name, share in shares.items()} if self.counts else {}

    def curve(self) -> list[tuple[float, float]]:
        """Return share and milliseconds of each bucket in order, for a chart."""
        seen, whole = 0, self.count
        points = []
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            points.append((seen / whole, min(_upper_ns(bucket), self.max_ns) / 1e6))
        return points


def _buckets(values: NDArray[np.int64]) -> NDArray[np.int64]:
    # frexp gives the bit length exactly: a double holds every nanosecond of 104 days.
    exponents = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - (_BITS + 1), 0)
    buckets: NDArray[np.int64] = exponents * _STEPS + (values >> exponents)
    return buckets


def _upper_ns(bucket: int) -> int:
    exponent = max(bucket // _STEPS - 1, 0)
    return ((bucket - exponent * _STEPS + 1) << exponent) - 1
