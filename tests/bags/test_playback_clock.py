# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The recorded time during playback."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.bags.playback_clock import PlaybackClock

START_NS = 1_700_000_000_000_000_000
RATES = st.floats(0.01, 100.0)
PASSING_NS = st.integers(0, 10**12)


@dataclass
class Steady:
    """A monotonic clock that the test advances."""

    now_ns: int = 5

    def __call__(self) -> int:
        return self.now_ns


def clock(rate: float = 1.0, paused: bool = False) -> tuple[PlaybackClock, Steady]:
    steady = Steady()
    return PlaybackClock(START_NS, rate, paused, steady), steady


@given(st.lists(st.tuples(RATES, PASSING_NS), max_size=20))
def test_the_recorded_time_is_the_sum_of_elapsed_time_times_rate(
    stretches: list[tuple[float, int]],
) -> None:
    playing, steady = clock()
    expected_ns = 0.0
    for rate, passing_ns in stretches:
        playing.set_rate(rate)
        steady.now_ns += passing_ns
        expected_ns += rate * passing_ns
    assert playing.now_ns() - START_NS == pytest.approx(expected_ns, rel=1e-9, abs=len(stretches))


@given(RATES, st.lists(PASSING_NS, min_size=1, max_size=50))
def test_reading_the_time_often_does_not_change_it(rate: float, steps: list[int]) -> None:
    often, steady = clock(rate)
    once = PlaybackClock(START_NS, rate, steady_ns=steady)
    for step in steps:
        steady.now_ns += step
        often.now_ns()
    assert often.now_ns() == once.now_ns()


@given(RATES, PASSING_NS, PASSING_NS, PASSING_NS)
def test_the_time_stands_still_while_paused_and_continues_from_there(
    rate: float, before_ns: int, pause_ns: int, after_ns: int
) -> None:
    playing, steady = clock(rate)
    steady.now_ns += before_ns
    playing.pause()
    stopped_ns = playing.now_ns()
    steady.now_ns += pause_ns
    assert playing.now_ns() == stopped_ns
    assert playing.wait_s(stopped_ns + 1) == math.inf
    playing.resume()
    assert playing.now_ns() == stopped_ns
    steady.now_ns += after_ns
    assert playing.now_ns() == stopped_ns + int(after_ns * rate)


@given(RATES, st.integers(-(10**12), 10**12))
def test_after_waiting_for_wait_s_the_time_is_reached(rate: float, ahead_ns: int) -> None:
    playing, steady = clock(rate)
    steady.now_ns += round(playing.wait_s(START_NS + ahead_ns) * 1e9)
    assert playing.now_ns() - START_NS == pytest.approx(ahead_ns, abs=1000 * max(rate, 1))


@given(st.integers(0, 2 * START_NS), st.booleans(), PASSING_NS)
def test_a_jump_sets_the_time_and_keeps_pause_and_rate(
    target_ns: int, paused: bool, passing_ns: int
) -> None:
    playing, steady = clock(2.0, paused)
    steady.now_ns += passing_ns
    playing.jump(target_ns)
    assert (playing.now_ns(), playing.paused, playing.rate) == (target_ns, paused, 2.0)
    steady.now_ns += 10
    assert playing.now_ns() == target_ns + (0 if paused else 20)


def test_the_rate_can_change_while_paused() -> None:
    playing, steady = clock(paused=True)
    playing.set_rate(4.0)
    steady.now_ns += 100
    playing.resume()
    steady.now_ns += 100
    assert playing.now_ns() == START_NS + 400


def test_resuming_without_a_pause_changes_nothing() -> None:
    playing, steady = clock()
    steady.now_ns += 100
    playing.resume()
    assert playing.now_ns() == START_NS + 100


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_not_above_0_is_refused_and_the_old_one_stays(rate: float) -> None:
    playing, _ = clock(3.0)
    with pytest.raises(ValueError, match=f"the rate is {rate}; it must be above 0"):
        playing.set_rate(rate)
    assert playing.rate == 3.0
