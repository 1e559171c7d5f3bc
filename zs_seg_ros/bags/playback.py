# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Plays a bag without ROS: each message at its recorded time, with pause, step, seek, rate and loop."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.playback_clock import PlaybackClock
from zs_seg_ros.errors import BagError

SLOWEST, FASTEST = 0.001, 1000.0
"""Limits of the rate."""
_MAX_LAG_S = 0.1
"""When a message is later than this, the recorded time is set back to it instead of catching up."""
_LONGEST_WAIT_S = 1.0
_POLL_S = 0.05
_SHORTEST_ROUND_S = 0.05
"""The least time of a round in a loop: without it a bag with one message would flood its topic."""


@dataclass(frozen=True)
class PlaybackOptions:
    """The part of a bag to play, and how.

    topics: names. start_offset_s: from the first message, 0 or more. duration_s: recorded time from there;
    None: to the end. rate: recorded seconds per second. delay_s: wait before each round. clock_hz: how often
    the recorded time is published (per second of real time, also while paused); 0: never.
    """

    topics: tuple[str, ...]
    start_offset_s: float = 0.0
    duration_s: float | None = None
    rate: float = 1.0
    loop: bool = False
    paused: bool = False
    delay_s: float = 0.0
    clock_hz: float = 0.0


class Playback:
    """Plays a bag in the thread that calls run(). The other methods may be called from any thread.

    They are executed in the thread of run(), and return when that is done. Memory does not grow with the bag: one
    message is read ahead, besides the chunk of the file that it comes from.
    """

    def __init__(
        self,
        bag: Bag,
        options: PlaybackOptions,
        publish: Callable[[BagMessage], None],
        publish_time: Callable[[int], None] = lambda time_ns: None,
        report_lag: Callable[[float], None] = lambda lag_s: None,
    ) -> None:
        """Prepare playback. The functions are called from the thread of run().

        publish_time: gets the recorded time in ns. report_lag: gets the seconds that playback fell behind, when
        reading or publishing is too slow. Raises BagError for topics that the bag does not have, and when nothing
        is left to play.
        """
        bag.require(options.topics)
        if not any(bag.topics[name].message_count for name in options.topics):
            raise BagError(
                f"nothing to play: no topic with messages of the recording {bag.folder} is left"
            )
        self._bag = bag
        self._options = options
        self._publish = publish
        self._publish_time = publish_time
        self._report_lag = report_lag
        self._start_ns = bag.start_ns + round(options.start_offset_s * 1e9)
        self._end_ns = bag.start_ns + bag.duration_ns
        if self._start_ns > self._end_ns:
            raise BagError(
                f"nothing to play: the recording {bag.folder} lasts {bag.duration_ns / 1e9:.3f} s, "
                f"and {options.start_offset_s:g} s of it are to be skipped"
            )
        if options.duration_s is not None:
            self._end_ns = min(self._end_ns, self._start_ns + round(options.duration_s * 1e9))
        self._clock = PlaybackClock(self._start_ns, options.rate, options.paused)
        self._messages: Iterator[BagMessage] = iter(())
        self._next: BagMessage | None = None
        self._next_tick_s = 0.0
        self._is_waiting = True
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._ended = False
        self._ended_lock = threading.Lock()  # no request is queued once _ended is set

    def run(self, may_start: Callable[[], bool] = lambda: True) -> None:
        """Play to the end, or until stop(). Before the first message, wait until may_start() is true.

        Raises BagError when the bag is damaged.
        """
        try:
            self._wait_until(may_start)
            self._play_round()
            while self._options.loop and not self._stopped.is_set():
                self._play_round()
        finally:
            self._stopped.set()
            with self._ended_lock:
                self._ended = True
            self._handle_requests(0.0)

    def stop(self) -> None:
        """Make run() return soon."""
        self._stopped.set()
        self._requests.put(lambda: None)

    # --- called by other threads; each returns when it is done ---

    @property
    def paused(self) -> bool:
        """Whether the recorded time stands still."""
        return self._clock.paused

    @property
    def rate(self) -> float:
        """Recorded seconds that pass in a second of real time, above 0."""
        return self._clock.rate

    def pause(self) -> None:
        """Stop the recorded time, and with it the messages."""
        self._execute(self._clock.pause)

    def resume(self) -> None:
        """Continue after a pause, from the recorded time of the pause."""
        self._execute(self._clock.resume)

    def toggle_paused(self) -> None:
        """Pause if messages are being played, and resume otherwise."""
        self._execute(lambda: self._clock.resume() if self._clock.paused else self._clock.pause())

    def set_rate(self, rate: float) -> None:
        """Change the rate. Raises ValueError for a rate that is not above 0."""
        self._execute(lambda: self._clock.set_rate(rate))

    def play_next(self, count: int = 1) -> int:
        """While paused, publish the next messages at once; count 0 means all. Return how many were published."""
        return int(self._execute(lambda: self._step(count)) or 0)

    def seek(self, time_ns: int) -> bool:
        """Continue from a recorded time. Return False before playback starts, and outside of the part to play."""
        return bool(self._execute(lambda: self._seek(time_ns)))

    # --- in the thread of run() ---

    def _play_round(self) -> None:
        start_s = time.monotonic() + self._options.delay_s
        self._wait_until(lambda: time.monotonic() >= start_s)
        next_round_s = time.monotonic() + _SHORTEST_ROUND_S
        self._go_to(self._start_ns)
        self._play_to_end()
        if self._options.loop:
            self._wait_until(lambda: time.monotonic() >= next_round_s)

    def _play_to_end(self) -> None:
        while not self._stopped.is_set() and (self._next is not None or self._clock.paused):
            self._tick()
            wait_s = self._clock.wait_s(self._next.time_ns) if self._next else _LONGEST_WAIT_S
            if wait_s > 0:
                self._handle_requests(wait_s)
                continue
            if -wait_s > _MAX_LAG_S and self._next:
                self._clock.jump(self._next.time_ns)
                self._report_lag(-wait_s)
            self._publish_next()
            self._handle_requests(0.0)

    def _publish_next(self) -> None:
        assert self._next is not None
        self._publish(self._next)
        self._read()

    def _read(self) -> None:
        message = next(self._messages, None)
        self._next = message if message and message.time_ns <= self._end_ns else None

    def _go_to(self, time_ns: int) -> None:
        """Continue with the first message from `time_ns` on, and publish the latched messages of that time."""
        latched = self._latched_before(time_ns)
        self._messages = self._bag.messages(self._options.topics, time_ns)
        self._read()
        self._clock.jump(time_ns)
        self._tick_at(time_ns)
        for message in latched:
            self._publish(message)

    def _latched_before(self, time_ns: int) -> list[BagMessage]:
        """Return the messages that a late subscriber would have received at that time, in the order of recording."""
        names = [n for n in self._options.topics if self._bag.topics[n].latched]
        kept: dict[str, deque[BagMessage]] = {
            name: deque(maxlen=self._bag.topics[name].depth) for name in names
        }
        for message in self._bag.messages(names):
            if message.time_ns >= time_ns:
                break
            kept[message.topic.name].append(message)
        return sorted(
            (message for messages in kept.values() for message in messages),
            key=lambda message: message.time_ns,
        )

    def _tick(self) -> None:
        """Publish the time if it is due: never a time after that of the next message."""
        if self._options.clock_hz and time.monotonic() >= self._next_tick_s:
            time_ns = self._clock.now_ns()
            self._tick_at(min(time_ns, self._next.time_ns) if self._next else time_ns)

    def _tick_at(self, time_ns: int) -> None:
        if self._options.clock_hz:
            self._next_tick_s = time.monotonic() + 1 / self._options.clock_hz
            self._publish_time(time_ns)

    def _step(self, count: int) -> int:
        published = 0
        while (
            self._clock.paused
            and self._next is not None
            and not self._stopped.is_set()
            and (published < count or count == 0)
        ):
            self._clock.jump(self._next.time_ns)
            self._tick_at(self._next.time_ns)
            self._publish_next()
            published += 1
        return published

    def _seek(self, time_ns: int) -> bool:
        if self._is_waiting or not self._start_ns <= time_ns <= self._end_ns:
            return False
        self._go_to(time_ns)
        return True

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait with the recorded time at the start."""
        self._is_waiting = True
        while not (condition() or self._stopped.is_set()):
            if time.monotonic() >= self._next_tick_s:
                self._tick_at(self._start_ns)
            self._handle_requests(_POLL_S)
        self._is_waiting = False

    def _handle_requests(self, seconds: float) -> None:
        """Execute queued requests; wait for the first one, at most until the next tick or for a second."""
        if self._options.clock_hz:
            seconds = min(seconds, self._next_tick_s - time.monotonic())
        seconds = min(seconds, _LONGEST_WAIT_S)
        try:
            request = self._requests.get(timeout=max(seconds, 0.0))
            while True:
                request()
                request = self._requests.get_nowait()
        except queue.Empty:
            pass

    def _execute(self, action: Callable[[], Any]) -> Any:
        """Execute an action in the thread of run(), and return its result; None when run() has ended or is ending."""
        result: Future[Any] = Future()

        def request() -> None:
            try:
                result.set_result(None if self._stopped.is_set() else action())
            except ValueError as error:
                result.set_exception(error)
            except BagError:
                result.set_result(None)
                raise  # from run()

        with self._ended_lock:
            if self._ended:
                return None
            self._requests.put(request)
        return result.result()
