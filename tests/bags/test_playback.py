# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Playback of a bag without ROS: published messages, their order, and the clock."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from zs_seg_ros.bags.bag import Bag, BagMessage, offered_qos
from zs_seg_ros.bags.playback import Playback, PlaybackOptions
from zs_seg_ros.errors import BagError
from zs_seg_ros.testing.bags import write_recording

TIMEOUT_S = 30.0
START_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000
COUNT = 50
LATCHED = offered_qos(latched=True, depth=2)
"""/count has 50 messages, 10 ms apart; /state, latched, one at each tenth of them, a moment before."""
EVERYTHING = PlaybackOptions(("/count", "/state"))


def written(folder: Path, **how: object) -> Path:
    messages = []
    for number in range(COUNT):
        time_ns = START_NS + number * STEP_NS
        if number % 10 == 0:
            messages.append((time_ns, "/state", f"state {number}"))
        messages.append((time_ns + 1, "/count", f"{number}"))
    write_recording(folder, messages, {"/state": [LATCHED]}, **how)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("recordings") / "bag")


@pytest.fixture
def bag(folder: Path) -> Iterator[Bag]:
    with Bag(folder) as opened:
        yield opened


class Player:
    """A playback in a thread of its own. texts, times_ns: the messages and clock times that it published."""

    def __init__(
        self,
        bag: Bag,
        options: PlaybackOptions,
        slow_at: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self.texts: list[str] = []
        self.times_ns: list[int] = []
        self.arrivals: list[float] = []
        self.late_s: list[float] = []
        self.error: Exception | None = None
        self._slow_at = slow_at
        self.playback = Playback(
            bag, options, self._publish, self.times_ns.append, self.late_s.append
        )
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Player:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.playback.stop()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.playback.run()
        except BagError as error:
            self.error = error

    def _publish(self, message: BagMessage) -> None:
        self.texts.append(message.content.data)
        self.arrivals.append(time.monotonic())
        time.sleep(self._slow_at(self.texts[-1]))

    def wait_for_end(self) -> None:
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), "playback does not end"

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, (self.texts, self.times_ns[-5:])
            time.sleep(0.002)


def counts(player: Player) -> list[int]:
    return [int(text) for text in player.texts if text.isdigit()]


def played(bag: Bag, options: PlaybackOptions) -> Player:
    with Player(bag, options) as player:
        player.wait_for_end()
    assert player.error is None
    return player


def in_order() -> list[str]:
    return [
        text
        for number in range(COUNT)
        for text in ([f"state {number}"] if number % 10 == 0 else []) + [f"{number}"]
    ]


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_every_message_is_published_once_and_in_order(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
) -> None:
    written(tmp_path / "bag", storage=storage, compression=compression)
    with Bag(tmp_path / "bag") as bag:
        assert played(bag, replace(EVERYTHING, rate=10.0)).texts == in_order()


def test_no_message_is_published_before_its_time(bag: Bag) -> None:
    player = played(bag, replace(EVERYTHING, topics=("/count",), rate=2.0))
    for number, arrival in enumerate(player.arrivals):
        assert arrival - player.arrivals[0] > (number * STEP_NS / 2) / 1e9 - 0.05


def test_only_the_chosen_topics_are_published(bag: Bag) -> None:
    player = played(bag, replace(EVERYTHING, topics=("/count",), rate=50.0))
    assert player.texts == [str(number) for number in range(COUNT)]


def test_messages_latched_before_the_start_are_published_first(bag: Bag) -> None:
    """The last two states are, because the publisher had a depth of two."""
    options = replace(EVERYTHING, start_offset_s=0.255, duration_s=0.03, rate=10.0)
    assert played(bag, options).texts == ["state 10", "state 20", "26", "27", "28"]


def test_a_loop_starts_at_the_start_offset(bag: Bag) -> None:
    options = replace(EVERYTHING, topics=("/count",), start_offset_s=0.45, loop=True, rate=20.0)
    with Player(bag, options) as player:
        player.wait_for(lambda: len(player.texts) >= 12)
    assert counts(player)[:12] == [45, 46, 47, 48, 49] * 2 + [45, 46]


def test_the_clock_advances_with_the_messages_and_goes_back_on_loop(bag: Bag) -> None:
    with Player(bag, replace(EVERYTHING, loop=True, rate=5.0, clock_hz=500.0)) as player:
        player.wait_for(lambda: len(counts(player)) > 2 * COUNT)
    times = player.times_ns
    end_ns = START_NS + COUNT * STEP_NS
    assert all(START_NS <= time_ns <= end_ns for time_ns in times)
    backwards = [i for i in range(1, len(times)) if times[i] < times[i - 1]]
    assert len(backwards) == 2
    assert all(times[i] == START_NS for i in backwards)
    assert len(set(times)) > 20


def test_while_paused_the_clock_stands_still_and_is_still_published(bag: Bag) -> None:
    with Player(bag, replace(EVERYTHING, clock_hz=200.0)) as player:
        player.wait_for(lambda: len(player.texts) >= 5)
        player.playback.pause()
        assert player.playback.paused
        messages, times = len(player.texts), len(player.times_ns)
        player.wait_for(lambda: len(player.times_ns) >= times + 20)
        assert len(set(player.times_ns[times:])) == 1
        assert len(player.texts) == messages
        player.playback.toggle_paused()
        player.wait_for_end()
    assert player.texts == in_order()


def test_steps_publish_one_message_each_and_only_while_paused(bag: Bag) -> None:
    with Player(bag, replace(EVERYTHING, topics=("/count",), paused=True, clock_hz=10.0)) as player:
        assert player.playback.play_next() == 1
        assert player.playback.play_next() == 1
        assert player.texts == ["0", "1"]
        assert player.times_ns[-1] == START_NS + STEP_NS + 1
        assert player.playback.play_next(5) == 5
        assert player.texts[-1] == "6"
        player.playback.set_rate(0.01)
        player.playback.resume()
        assert player.playback.play_next() == 0
        player.playback.pause()
        before = len(player.texts)
        assert player.playback.play_next(0) == COUNT - before
        assert player.playback.play_next() == 0
        player.playback.resume()
        player.wait_for_end()
    assert player.texts == [str(number) for number in range(COUNT)]


def test_seek_continues_there_and_publishes_the_messages_latched_by_then(bag: Bag) -> None:
    with Player(bag, replace(EVERYTHING, paused=True)) as player:
        assert player.playback.play_next(0) == len(in_order())
        player.texts.clear()
        assert player.playback.seek(START_NS + 35 * STEP_NS)
        assert player.texts == ["state 20", "state 30"]
        assert player.playback.play_next(2) == 2
        assert player.texts[2:] == ["35", "36"]
        assert not player.playback.seek(START_NS - 1)
        assert not player.playback.seek(START_NS + COUNT * STEP_NS)


def test_seek_is_refused_before_playback_starts(bag: Bag) -> None:
    with Player(bag, replace(EVERYTHING, delay_s=600.0)) as player:
        assert not player.playback.seek(START_NS + STEP_NS)
    assert player.texts == []


def test_a_loop_of_one_message_does_not_flood_its_topic(tmp_path: Path) -> None:
    write_recording(tmp_path / "bag", [(START_NS, "/text", "once")])
    options = PlaybackOptions(("/text",), loop=True)
    with Bag(tmp_path / "bag") as bag, Player(bag, options) as player:
        player.wait_for(lambda: len(player.texts) >= 4)
    assert player.arrivals[3] - player.arrivals[0] > 0.1


def test_a_change_of_rate_takes_effect_at_once(bag: Bag) -> None:
    """At the initial rate playback would take more than an hour."""
    with Player(bag, replace(EVERYTHING, rate=0.0001)) as player:
        player.wait_for(lambda: len(player.texts) >= 1)
        player.playback.set_rate(50.0)
        assert player.playback.rate == 50.0
        player.wait_for_end()
    assert player.texts == in_order()


def test_after_a_stall_messages_keep_their_intervals(bag: Bag) -> None:
    """The clock waits for them as well, and never goes back."""
    options = replace(EVERYTHING, topics=("/count",), clock_hz=200.0)
    with Player(bag, options, lambda text: 0.5 if text == "10" else 0.0) as player:
        player.wait_for_end()
    assert counts(player) == list(range(COUNT))
    assert len(player.late_s) >= 1
    since_the_stall = player.arrivals[-1] - player.arrivals[11]
    assert since_the_stall > (COUNT - 12) * STEP_NS / 1e9 - 0.15
    assert player.times_ns == sorted(player.times_ns)


def test_a_request_after_the_end_returns(bag: Bag) -> None:
    player = played(bag, replace(EVERYTHING, rate=100.0))
    player.playback.pause()
    assert player.playback.play_next() == 0


def test_playback_waits_until_it_may_start_and_for_the_delay(bag: Bag) -> None:
    times_ns: list[int] = []
    published: list[str] = []
    published_at_checks: list[int] = []

    def may_start() -> bool:
        published_at_checks.append(len(published))
        return len(published_at_checks) > 3

    playback = Playback(
        bag,
        replace(EVERYTHING, rate=100.0, delay_s=0.3, clock_hz=100.0),
        lambda message: published.append(message.topic.name),
        lambda time_ns: times_ns.append(time_ns) if not published else None,
    )
    playback.run(may_start)
    assert published_at_checks == [0, 0, 0, 0]
    assert set(times_ns) == {START_NS}
    assert len(published) == len(in_order())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (PlaybackOptions(("/nope",)), "has no topic /nope; it has /count, /state"),
        (PlaybackOptions(()), "no topic with messages of the recording .* is left"),
        (replace(EVERYTHING, start_offset_s=100.0), "lasts 0.490 s, and 100 s of it are to be"),
    ],
)
def test_nothing_to_play_is_reported_in_one_sentence(
    bag: Bag, options: PlaybackOptions, reason: str
) -> None:
    with pytest.raises(BagError, match=reason):
        Playback(bag, options, lambda message: None)


def _damage(folder: Path) -> None:
    """Overwrite a fifth of the only file of a recording, from a tenth on."""
    file = next(path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))
    data = bytearray(file.read_bytes())
    data[len(data) // 10 : len(data) // 3] = bytes(len(data) // 3 - len(data) // 10)
    file.write_bytes(data)


def test_a_damaged_chunk_is_left_out_of_playback_with_a_warning(tmp_path: Path) -> None:
    folder = written(tmp_path / "bag", compression=CompressionMode.STORAGE)
    _damage(folder)
    with (
        Bag(folder) as bag,
        Player(bag, replace(EVERYTHING, rate=100.0)) as player,
    ):
        player.wait_for_end()
        assert player.error is None
        (warning,) = bag.new_warnings()
        assert "is damaged" in warning
        assert bag.new_warnings() == ()


def test_a_damaged_message_ends_playback_with_the_reason(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "bag", compression=CompressionMode.MESSAGE, storage=StoragePlugin.SQLITE3
    )
    with closing(sqlite3.connect(next(folder.glob("*.db3")))) as database, database:
        database.execute("UPDATE messages SET data = X'28B52FFD00' WHERE id = 7")
    with (
        Bag(folder) as bag,
        Player(bag, replace(EVERYTHING, rate=100.0)) as player,
    ):
        player.wait_for_end()
    assert "is damaged" in str(player.error)


MEASURE = """
import resource, sys
from pathlib import Path
from zs_seg_ros.bags.playback import Playback, PlaybackOptions
from zs_seg_ros.bags.bag import Bag

with Bag(Path(sys.argv[1])) as bag:
    sizes = []
    options = PlaybackOptions(tuple(bag.topics), rate=1000.0)
    Playback(bag, options, lambda message: sizes.append(len(message.serialised))).run()
print(sum(sizes), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, storage: StoragePlugin) -> None:
    text = "x" * 500_000
    peaks = []
    for count in (20, 400):
        folder = tmp_path / f"{count}"
        write_recording(
            folder, ((START_NS + n * STEP_NS, "/text", text) for n in range(count)), storage=storage
        )
        run = subprocess.run(
            [sys.executable, "-c", MEASURE, str(folder)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        total, peak = (int(number) for number in run.stdout.split())
        assert total > count * 500_000
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 40e6, "of 200 MB"
