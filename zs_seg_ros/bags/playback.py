"""Plays a recording: each message at its time, with pause, step, seek, rate and loop. Knows no ROS."""

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
"""Rates that make sense."""
_CATCH_UP_S = 0.1
"""A message that is later than this is not caught up with: the recorded time waits for it."""
_LONGEST_WAIT_S = 1.0
_HOLD_S = 0.05
_SHORTEST_ROUND_S = 0.05
"""In a loop; else a recording of one message would flood its topic."""


@dataclass(frozen=True)
class PlaybackOptions:
    """What is played of a recording, and how.

    topics: names. start_offset_s: from its first message, 0 or more. duration_s: of recorded time from
    there; None: to its end. delay_s: waited before each round. clock_hz: how often the recorded time is
    told (real time, also in pause); 0: never.
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
    """One thread calls run() and does all the work; what others ask for waits for its turn there.

    One message is read ahead, besides the chunk of the file that it comes from: memory does not grow.
    """

    def __init__(
        self,
        bag: Bag,
        options: PlaybackOptions,
        publish: Callable[[BagMessage], None],
        tell_time: Callable[[int], None] = lambda time_ns: None,
        say_late: Callable[[float], None] = lambda late_s: None,
    ) -> None:
        """publish and tell_time (recorded time in ns) are called from the thread of run().

        say_late: called with the seconds that playing fell behind, when reading or publishing is too slow.
        Raises BagError for topics that are not there, and when nothing is left to play.
        """
        bag.require(options.topics)
        if not any(bag.topics[name].message_count for name in options.topics):
            raise BagError(
                f"nothing to play: no topic with messages of the recording {bag.folder} is left"
            )
        self._bag = bag
        self._options = options
        self._publish = publish
        self._tell_time = tell_time
        self._say_late = say_late
        self._start_ns = bag.start_ns + round(options.start_offset_s * 1e9)
        self._end_ns = bag.start_ns + bag.duration_ns
        if self._start_ns > self._end_ns:
            raise BagError(
                f"nothing to play: the recording {bag.folder} lasts {bag.duration_ns / 1e9:.3f} s, "
                f"and {options.start_offset_s:g} s of it are to be left out"
            )
        if options.duration_s is not None:
            self._end_ns = min(self._end_ns, self._start_ns + round(options.duration_s * 1e9))
        self._clock = PlaybackClock(self._start_ns, options.rate, options.paused)
        self._messages: Iterator[BagMessage] = iter(())
        self._next: BagMessage | None = None
        self._next_tick_s = 0.0
        self._holding = True
        self._requests: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._ended = False
        self._accepting = threading.Lock()  # of _ended: no request after it

    def run(self, may_start: Callable[[], bool] = lambda: True) -> None:
        """Play to the end, or until stop(); before the first message, wait for may_start.

        Raises BagError where the recording is damaged.
        """
        try:
            self._hold_until(may_start)
            self._play_round()
            while self._options.loop and not self._stopped.is_set():
                self._play_round()
        finally:
            self._stopped.set()
            with self._accepting:
                self._ended = True
            self._serve(0.0)

    def stop(self) -> None:
        """Let run() return soon."""
        self._stopped.set()
        self._requests.put(lambda: None)

    # --- asked for by other threads; each returns when it is done ---

    @property
    def paused(self) -> bool:
        return self._clock.paused

    @property
    def rate(self) -> float:
        return self._clock.rate

    def pause(self) -> None:
        self._ask(self._clock.pause)

    def resume(self) -> None:
        self._ask(self._clock.resume)

    def toggle_paused(self) -> None:
        self._ask(lambda: self._clock.resume() if self._clock.paused else self._clock.pause())

    def set_rate(self, rate: float) -> None:
        """Raises ValueError for a rate that is not above 0."""
        self._ask(lambda: self._clock.set_rate(rate))

    def play_next(self, count: int = 1) -> int:
        """In pause, publish the next messages at once; 0 of them means all. Returns how many went out."""
        return int(self._ask(lambda: self._step(count)) or 0)

    def seek(self, time_ns: int) -> bool:
        """Go on from the recorded time `time_ns`; False before the start, and outside of what is played."""
        return bool(self._ask(lambda: self._seek(time_ns)))

    # --- in the thread of run() ---

    def _play_round(self) -> None:
        start_s = time.monotonic() + self._options.delay_s
        self._hold_until(lambda: time.monotonic() >= start_s)
        next_round_s = time.monotonic() + _SHORTEST_ROUND_S
        self._go_to(self._start_ns)
        self._play_to_end()
        if self._options.loop:
            self._hold_until(lambda: time.monotonic() >= next_round_s)

    def _play_to_end(self) -> None:
        while not self._stopped.is_set() and (self._next is not None or self._clock.paused):
            self._tick()
            wait_s = self._clock.wait_s(self._next.time_ns) if self._next else _LONGEST_WAIT_S
            if wait_s > 0:
                self._serve(wait_s)
                continue
            if -wait_s > _CATCH_UP_S and self._next:
                self._clock.jump(self._next.time_ns)
                self._say_late(-wait_s)
            self._publish_next()
            self._serve(0.0)

    def _publish_next(self) -> None:
        assert self._next is not None
        self._publish(self._next)
        self._read()

    def _read(self) -> None:
        message = next(self._messages, None)
        self._next = message if message and message.time_ns <= self._end_ns else None

    def _go_to(self, time_ns: int) -> None:
        """Make the first message from `time_ns` on the next one, and publish what is latched by then."""
        latched = self._latched_before(time_ns)
        self._messages = self._bag.messages(self._options.topics, time_ns)
        self._read()
        self._clock.jump(time_ns)
        self._tell(time_ns)
        for message in latched:
            self._publish(message)

    def _latched_before(self, time_ns: int) -> list[BagMessage]:
        """What a late subscriber would have been given at that time, in the order of time."""
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
        """Tell the time if it is due: never one later than that of a message that has yet to be published."""
        if self._options.clock_hz and time.monotonic() >= self._next_tick_s:
            time_ns = self._clock.now_ns()
            self._tell(min(time_ns, self._next.time_ns) if self._next else time_ns)

    def _tell(self, time_ns: int) -> None:
        if self._options.clock_hz:
            self._next_tick_s = time.monotonic() + 1 / self._options.clock_hz
            self._tell_time(time_ns)

    def _step(self, count: int) -> int:
        published = 0
        while (
            self._clock.paused
            and self._next is not None
            and not self._stopped.is_set()
            and (published < count or count == 0)
        ):
            self._clock.jump(self._next.time_ns)
            self._tell(self._next.time_ns)
            self._publish_next()
            published += 1
        return published

    def _seek(self, time_ns: int) -> bool:
        if self._holding or not self._start_ns <= time_ns <= self._end_ns:
            return False
        self._go_to(time_ns)
        return True

    def _hold_until(self, condition: Callable[[], bool]) -> None:
        """Stand at the start."""
        self._holding = True
        while not (condition() or self._stopped.is_set()):
            if time.monotonic() >= self._next_tick_s:
                self._tell(self._start_ns)
            self._serve(_HOLD_S)
        self._holding = False

    def _serve(self, seconds: float) -> None:
        """Do what others asked for; wait so long for it, at most until the next tick or a second."""
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

    def _ask(self, action: Callable[[], Any]) -> Any:
        """Have the thread of run() do it. None when that has ended, or ends meanwhile."""
        answer: Future[Any] = Future()

        def request() -> None:
            try:
                answer.set_result(None if self._stopped.is_set() else action())
            except ValueError as error:
                answer.set_exception(error)
            except BagError:
                answer.set_result(None)
                raise  # run() reports it

        with self._accepting:
            if self._ended:
                return None
            self._requests.put(request)
        return answer.result()
