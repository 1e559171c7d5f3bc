# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Latencies of a replay in real time: percentiles and a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BINS = 12
_BAR_WIDTH = 40


@dataclass(frozen=True)
class Latencies:
    """values_ms: from publishing a frame to its results, for frames that have some. published: all frames."""

    values_ms: tuple[float, ...]
    published: int

    @property
    def dropped(self) -> int:
        """The number of frames without results."""
        return self.published - len(self.values_ms)

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile (0..100) of the latencies; 0 without any."""
        return float(np.percentile(self.values_ms, percent)) if self.values_ms else 0.0

    def bins(self) -> list[tuple[float, float, int]]:
        """Return lower edge, upper edge (ms) and frames of each bar; the last one has all above the 99th percentile."""
        if not self.values_ms:
            return []
        low, high = 0.0, self.percentile_ms(99)
        step = _round_step((high - low) / _BINS)
        edges = np.arange(low, high + step, step)
        counts, _ = np.histogram(np.clip(self.values_ms, None, edges[-1]), edges)
        first = int(np.flatnonzero(counts)[0])
        return [
            (float(edges[i]), float(edges[i + 1]), int(counts[i]))
            for i in range(first, len(counts))
        ]


def _round_step(step_ms: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(step_ms, 1.0)))
    return float(next(power * n for n in (1, 2, 5, 10) if power * n >= step_ms))


def latency_text(latencies: Latencies) -> str:
    """Draw the summary and the histogram as text."""
    bins = latencies.bins()
    most = max((count for _, _, count in bins), default=1)
    lines = [latency_summary(latencies)]
    for number, (low, high, count) in enumerate(bins, start=1):
        end = "      " if number == len(bins) else f"{high:<6.0f}"
        bar = "█" * round(_BAR_WIDTH * count / most) or ("▏" if count else "")
        lines.append(f"  {low:>6.0f} to {end} ms {count:>6}  {bar}".rstrip())
    return "\n".join(lines)


def latency_summary(latencies: Latencies) -> str:
    """Return median, 95th percentile, maximum and dropped frames in one line."""
    if not latencies.values_ms:
        return f"No results for any of {latencies.published} frames."
    return (
        f"Latency: {latencies.percentile_ms(50):.0f} ms (median), {latencies.percentile_ms(95):.0f} ms (95 %), "
        f"{max(latencies.values_ms):.0f} ms (longest); {latencies.dropped} of {latencies.published} frames dropped"
    )
