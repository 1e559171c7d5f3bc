# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""One run of `replay_test`: replays a bag through a node, and writes a golden file or compares with one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras, require_camera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.bag_frames import BagFrame, frames
from zs_seg_ros.replay.comparison import Comparison, all_classes
from zs_seg_ros.replay.frame_difference import FrameDifference, WorstFrames
from zs_seg_ros.replay.golden import Golden, GoldenWriter
from zs_seg_ros.replay.latency import Latencies
from zs_seg_ros.replay.report import Report
from zs_seg_ros.replay.report_images import comparison_panels, jpeg
from zs_seg_ros.replay.results import EXEMPLARS, CameraSettings, FrameResult, RunSettings, Span
from zs_seg_ros.replay.verdict import Tolerances
from zs_seg_ros.ros.replay.frame_publisher import frame_image
from zs_seg_ros.ros.replay.frame_replay import FrameReplay
from zs_seg_ros.ros.replay.node_under_test import NodeUnderTest, class_in_words
from zs_seg_ros.ros.replay.result_collector import ReplayedFrame
from zs_seg_ros.ros.replay.started_node import NodeRequest, started_node
from zs_seg_ros.shown import quoted

_SERVICE_TIMEOUT_S = 60.0
_DIAGNOSTICS_TIMEOUT_S = 20.0
_MAX_FRAMES_WITHOUT_RESULT = 3
"""After so many in a row the run is given up, instead of waiting for each remaining frame."""


@dataclass(frozen=True)
class ReplayRequest:
    """The arguments of the command line.

    node: a node to start, or the name of a running one. every: 0 for the value of the golden file. rate: relative
    to the recorded speed; None for lockstep. images: the number of differing frames to draw, the worst ones.
    """

    bag: Path
    golden: Path
    node: NodeRequest | str
    cameras: tuple[str, ...] = ()
    every: int = 0
    timeout_s: float = 30.0
    rate: float | None = None
    tolerances: Tolerances = field(default_factory=Tolerances)
    images: int = 5


class ReplayRun:
    """Holds the bag and the node open; use it with `with`, which ends a node that it has started.

    Every method raises ReplayError, BagError or ProcessError when the run cannot continue.
    """

    def __init__(self, request: ReplayRequest, golden: Golden | None) -> None:
        self._request = request
        self._golden = golden
        self._ending = ExitStack()
        try:
            self._bag = self._ending.enter_context(Bag(request.bag))
            self._warn()
            self._start()
        except BaseException:
            self._ending.close()
            raise

    def __enter__(self) -> ReplayRun:
        return self

    def __exit__(self, *exception: object) -> None:
        self._warn()
        self._ending.close()

    def _warn(self) -> None:
        """Print what is wrong with the recording; at the end once more, about damage that reading has met."""
        for warning in self._bag.new_warnings():
            tqdm.write(f"replay_test: warning: {warning}", file=sys.stderr)

    def _start(self) -> None:
        request = self._request
        self._every()  # raises before a node is started
        if isinstance(request.node, str):
            self._node = self._ending.enter_context(NodeUnderTest(request.node))
            self._node.wait_until_active(request.timeout_s)
            self._cameras = self._cameras_of_node()
        else:
            self._cameras = self._bag_cameras()
            settings = self._golden.settings if self._golden is not None else None
            node = started_node(request.node, self._cameras, settings)
            self._node = self._ending.enter_context(node)
        vocabulary = self._node.vocabulary(_SERVICE_TIMEOUT_S)
        self.settings = self._settings(vocabulary)
        self.classes = self.settings.names
        if self._golden is not None:
            self.classes = all_classes(self._golden.settings.names, self.classes)
        self._replay = FrameReplay(self._node, self._cameras, vocabulary, self.classes)
        self._replay.connect()

    # --- which node and which cameras ---

    def _bag_cameras(self) -> tuple[BagCamera, ...]:
        names = self._request.cameras
        if self._golden is None:
            return find_cameras(self._bag, names)
        given = {name.partition("=")[0]: name for name in names if "=" in name}
        plain = [name.partition("=")[0] for name in names]
        return tuple(
            find_cameras(self._bag, [given[c.name]])[0]
            if c.name in given
            else require_camera(self._bag, c.name, c.transport, c.depth_transport)
            for c in self._golden_cameras(plain)
        )

    def _golden_cameras(self, names: Sequence[str]) -> list[CameraSettings]:
        assert self._golden is not None
        known = {camera.name: camera for camera in self._golden.settings.cameras}
        for name in names:
            if name not in known:
                raise ReplayError(
                    f"the golden file {self._golden.path} has no camera {quoted(name)}; it has {', '.join(known)}"
                )
        return [known[name] for name in (names or known)]

    def _cameras_of_node(self) -> tuple[BagCamera, ...]:
        """Return the requested cameras with the transports that the running node subscribes to."""
        names = self._request.cameras
        if not names and self._golden is not None:
            names = tuple(camera.name for camera in self._golden_cameras(()))
        node_cameras = self._node.parameters(["cameras"], _SERVICE_TIMEOUT_S)["cameras"] or ()
        for name in names:
            if name not in node_cameras:
                raise ReplayError(
                    f"{self._node.name} does not subscribe to a camera {quoted(name)}; its cameras are "
                    f"{', '.join(node_cameras)}"
                )
        cameras = []
        for name in names or node_cameras:
            parameters = [f"{name}.{field}" for field in ("transport", "depth", "depth_transport")]
            values = self._node.parameters(parameters, _SERVICE_TIMEOUT_S)
            transport, depth, depth_transport = (values[parameter] for parameter in parameters)
            cameras.append(
                require_camera(self._bag, name, transport, depth_transport if depth else None)
            )
        return tuple(cameras)

    def _settings(self, vocabulary: messages.Vocabulary) -> RunSettings:
        settings = self._node.settings(_SERVICE_TIMEOUT_S)
        settings[EXEMPLARS] = sum(len(target.exemplars) for target in vocabulary.classes)
        model = str(settings.pop("model"))
        engine, precision = self._node.computation(_DIAGNOSTICS_TIMEOUT_S)
        return RunSettings(
            self._bag.folder.resolve().name,
            model,
            tuple(map(class_in_words, vocabulary.classes)),
            tuple(
                CameraSettings(c.name, c.transport, c.depth_transport if c.depth else None)
                for c in self._cameras
            ),
            self._every(),
            settings,
            self._span,
            engine,
            precision,
        )

    @property
    def _span(self) -> Span:
        return Span() if self._golden is None else self._golden.settings.span

    def _every(self) -> int:
        every = self._request.every
        if self._golden is None:
            return every or 1
        golden_every = self._golden.settings.every
        if every not in (0, golden_every):
            raise ReplayError(
                f"{self._golden.path} was made with --every {golden_every}, not {every}; make it anew with --update"
            )
        return golden_every

    # --- frames ---

    def _replayed_frames(self) -> Iterator[ReplayedFrame]:
        """Replay all frames, with a progress bar."""
        counts = [self._bag.topics[c.image].message_count for c in self._cameras]
        total = sum(self._span.count(count, self.settings.every) for count in counts)
        self._replay.warm_up(self._first_frames(), self._request.timeout_s)
        replayed = self._in_lockstep() if self._request.rate is None else self._in_real_time()
        # disable=None: no bar where stderr is not a terminal
        yield from tqdm(replayed, total=total, unit="frame", disable=None, leave=False)

    def _first_frames(self) -> list[BagFrame]:
        first_frames = []
        for camera in self._cameras:
            first = next(frames(self._bag, [camera], span=self._span), None)
            if first is None:
                raise ReplayError(f"{camera.image} has no messages")
            first_frames.append(first)
        return first_frames

    def _in_lockstep(self) -> Iterator[ReplayedFrame]:
        without_result = 0
        for frame in frames(self._bag, self._cameras, self.settings.every, self._span):
            replayed = self._replay.process(frame, self._request.timeout_s)
            without_result = 0 if replayed.result else without_result + 1
            if without_result == _MAX_FRAMES_WITHOUT_RESULT:
                raise ReplayError(
                    f"{self._node.name} gave no results for {without_result} images in a row, up to image "
                    f"{frame.index} of {frame.camera.name}{self._node.reported_errors}"
                )
            yield replayed

    def _in_real_time(self) -> Iterator[ReplayedFrame]:
        assert self._request.rate is not None
        rate, every, timeout_s = self._request.rate, self.settings.every, self._request.timeout_s
        return self._replay.play(self._bag, self._cameras, rate, every, timeout_s, self._span)

    # --- the golden file ---

    def update(self) -> int:
        """Write the golden file, and return the number of its frames."""
        count = 0
        with GoldenWriter(self._request.golden, self.classes) as writer:
            for replayed in self._replayed_frames():
                if replayed.result is None:
                    raise ReplayError(
                        f"{self._node.name} gave no results for image {replayed.frame.index} of "
                        f"{replayed.frame.camera.name}: no golden file is written{self._node.reported_errors}"
                    )
                writer.add(replayed.result)
                count += 1
            writer.finish(self.settings)
        return count

    def check(self) -> Report:
        """Compare all frames with the golden file."""
        assert self._golden is not None
        golden, request = self._golden, self._request
        comparison = Comparison(golden.settings.names, self.settings.names, request.tolerances)
        worst = WorstFrames(request.images)
        timeline: list[FrameDifference] = []
        latencies_ms: list[float] = []
        count = 0
        start = time.monotonic()
        for replayed in self._replayed_frames():
            count += 1
            expected = self._expected(replayed.frame)
            if replayed.result is None:
                comparison.add_without_result()
                continue
            latencies_ms.append(replayed.latency_ms)
            if expected.label.shape != replayed.result.label.shape:
                raise self._bag_mismatch(f"images of {expected.label.shape[::-1]} pixels")
            difference = comparison.add(expected, replayed.result)
            timeline.append(difference)
            worst.offer(difference, partial(self._drawn, replayed.frame, expected, replayed.result))
        if count < golden.frame_count({camera.name for camera in self._cameras}):
            raise self._bag_mismatch("more images")
        verdict = comparison.verdict()
        return Report(
            golden_file=str(request.golden),
            golden=golden.settings,
            now=self.settings,
            verdict=verdict,
            differing=worst.chosen(verdict.worst_classes),
            latencies=Latencies(tuple(latencies_ms), published=count),
            seconds=time.monotonic() - start,
            rate=request.rate,
            timeline=tuple(timeline),
        )

    def _expected(self, frame: BagFrame) -> FrameResult:
        assert self._golden is not None
        expected = self._golden.frame(frame.camera.name, frame.index)
        if expected is None or expected.stamp_ns != frame.stamp_ns:
            raise self._bag_mismatch(
                f"no image {frame.index} of {frame.camera.name} with the stamp {frame.stamp_ns}"
            )
        return expected

    def _bag_mismatch(self, what: str) -> ReplayError:
        assert self._golden is not None
        return ReplayError(
            f"the golden file {self._golden.path} is of another recording ({self._golden.settings.recording}): it has "
            f"{what}; name that recording, or make the file anew with --update"
        )

    def _drawn(self, frame: BagFrame, golden: FrameResult, now: FrameResult) -> bytes:
        return jpeg(comparison_panels(frame_image(frame), golden, now, self.classes))
