# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The recorded time during playback, derived from a monotonic clock, with rate, pause and jumps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class PlaybackClock:
    """The recorded time in ns, which advances at a rate and stands still while paused. Not thread-safe.

    Every reading is computed from one anchor, not from the previous reading, so that errors do not accumulate.
    """

    def __init__(
        self,
        start_ns: int,
        rate: float = 1.0,
        paused: bool = False,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """rate: recorded seconds per second, above 0. steady_ns: a monotonic clock."""
        self._steady_ns = steady_ns
        self._rate = _checked(rate)
        self._paused = paused
        self._anchor_ns = start_ns
        self._anchor_steady_ns = steady_ns()

    @property
    def rate(self) -> float:
        """The recorded seconds that pass in one second of real time."""
        return self._rate

    @property
    def paused(self) -> bool:
        """Whether the clock is paused."""
        return self._paused

    def now_ns(self) -> int:
        """The recorded time that is being played."""
        if self._paused:
            return self._anchor_ns
        passed_ns = self._steady_ns() - self._anchor_steady_ns
        return self._anchor_ns + int(passed_ns * self._rate)

    def wait_s(self, time_ns: int) -> float:
        """Return the seconds until the recorded time `time_ns`; negative when it has passed, infinite while paused."""
        if self._paused:
            return math.inf
        due_ns = self._anchor_steady_ns + (time_ns - self._anchor_ns) / self._rate
        return (due_ns - self._steady_ns()) / 1e9

    def pause(self) -> None:
        """Stop the clock at the present recorded time."""
        self.jump(self.now_ns())
        self._paused = True

    def resume(self) -> None:
        """Continue from the time of pause(); without a pause nothing happens."""
        if self._paused:
            self._paused = False
            self.jump(self._anchor_ns)

    def set_rate(self, rate: float) -> None:
        """Change the rate from now on; the time does not jump. Raises ValueError for a rate that is not above 0."""
        checked = _checked(rate)
        self.jump(self.now_ns())
        self._rate = checked

    def jump(self, time_ns: int) -> None:
        """Set the recorded time; a pause remains a pause."""
        self._anchor_ns = time_ns
        self._anchor_steady_ns = self._steady_ns()


def _checked(rate: float) -> float:
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"the rate is {rate}; it must be above 0")
    return float(rate)
