"""One run of `replay_test`: a node, a recording, a golden file; a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras, named_camera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.bag_frames import BagFrame, frames
from zs_seg_ros.replay.comparison import Comparison, Tolerances, all_classes
from zs_seg_ros.replay.golden import Golden, GoldenWriter
from zs_seg_ros.replay.latency import Latencies
from zs_seg_ros.replay.report import DifferingFrame, Report
from zs_seg_ros.replay.report_images import jpeg, per_image_threads
from zs_seg_ros.replay.results import EXEMPLARS, CameraSettings, FrameResult, RunSettings
from zs_seg_ros.ros.node_under_test import NodeUnderTest
from zs_seg_ros.ros.replay import Answered, Replay, image_of
from zs_seg_ros.ros.started_node import NodeRequest, started_node
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_SERVICE_TIMEOUT_S = 60.0
_MOST_UNANSWERED = 3
"""Frames in a row without results: then waiting for each of them has no sense any more."""


@dataclass(frozen=True)
class ReplayRequest:
    """What the command line asks for. node: what to start, or the name of one that runs. rate: None for lockstep.

    every: 0 for what the golden file says. images: differing frames to draw.
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
    """Everything between the node's start and its end; use it with `with`, which ends the node it has started.

    All of it raises ReplayError, BagError and ProcessError when it cannot go on.
    """

    def __init__(self, request: ReplayRequest, golden: Golden | None) -> None:
        self._request = request
        self._golden = golden
        self._ending = ExitStack()
        try:
            self._bag = self._ending.enter_context(Bag(request.bag))
            self._start()
        except BaseException:
            self._ending.close()
            raise

    def __enter__(self) -> ReplayRun:
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.close()

    def _start(self) -> None:
        request = self._request
        self._every()  # what is wrong with it comes out before a node starts
        if isinstance(request.node, str):
            self._node = self._ending.enter_context(NodeUnderTest(request.node))
            self._node.wait_until_active(request.timeout_s)
            self._cameras = self._cameras_of_node()
        else:
            self._cameras = self._bag_cameras()
            made_with = self._golden.settings if self._golden is not None else None
            starting = started_node(request.node, self._cameras, made_with)
            self._node = self._ending.enter_context(starting)
        vocabulary = self._node.vocabulary(_SERVICE_TIMEOUT_S)
        self.settings = self._settings(vocabulary)
        self.classes = self.settings.names
        if self._golden is not None:
            self.classes = all_classes(self._golden.settings.names, self.classes)
        self._replay = Replay(self._node, self._cameras, vocabulary, self.classes)
        self._replay.connect()

    # --- which node and which cameras ---

    def _bag_cameras(self) -> tuple[BagCamera, ...]:
        names = self._request.cameras
        if self._golden is None:
            return find_cameras(self._bag, names)
        return tuple(
            named_camera(self._bag, c.name, c.transport, c.depth_transport)
            for c in self._golden_cameras(names)
        )

    def _golden_cameras(self, names: Sequence[str]) -> list[CameraSettings]:
        assert self._golden is not None
        known = {camera.name: camera for camera in self._golden.settings.cameras}
        for name in names:
            if name not in known:
                raise ReplayError(
                    f"the golden file {self._golden.path} has no camera {name!r}; it has {', '.join(known)}"
                )
        return [known[name] for name in (names or known)]

    def _cameras_of_node(self) -> tuple[BagCamera, ...]:
        """As the running node listens to them."""
        names = self._request.cameras
        if not names and self._golden is not None:
            names = tuple(camera.name for camera in self._golden_cameras(()))
        listening = self._node.parameters(["cameras"], _SERVICE_TIMEOUT_S)["cameras"] or ()
        for name in names:
            if name not in listening:
                raise ReplayError(
                    f"{self._node.name} does not listen to a camera {name!r}; it listens to {', '.join(listening)}"
                )
        cameras = []
        for name in names or listening:
            requested = [f"{name}.{what}" for what in ("transport", "depth", "depth_transport")]
            values = self._node.parameters(requested, _SERVICE_TIMEOUT_S)
            transport, depth, depth_transport = (values[parameter] for parameter in requested)
            cameras.append(
                named_camera(self._bag, name, transport, depth_transport if depth else None)
            )
        return tuple(cameras)

    def _settings(self, vocabulary: messages.Vocabulary) -> RunSettings:
        made_with = self._node.settings(_SERVICE_TIMEOUT_S)
        made_with[EXEMPLARS] = sum(len(target.exemplars) for target in vocabulary.classes)
        model = str(made_with.pop("model"))
        return RunSettings(
            self._bag.folder.resolve().name,
            model,
            tuple(
                TargetClass(target.name, tuple(target.prompts), round(float(target.threshold), 6))
                for target in vocabulary.classes
            ),
            tuple(
                CameraSettings(c.name, c.transport, c.depth_transport if c.depth else None)
                for c in self._cameras
            ),
            self._every(),
            made_with,
        )

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

    def _answers(self) -> Iterator[Answered]:
        """All frames with what came of them, with a progress bar."""
        counts = [self._bag.topics[c.image].message_count for c in self._cameras]
        total = sum(-(-count // self.settings.every) for count in counts)
        self._replay.begin(self._first_frames(), self._request.timeout_s)
        answers = self._in_lockstep() if self._request.rate is None else self._in_real_time()
        # disable=None: no bar where stderr is not a terminal
        yield from tqdm(answers, total=total, unit="frame", disable=None, leave=False)

    def _first_frames(self) -> list[BagFrame]:
        found = []
        for camera in self._cameras:
            first = next(frames(self._bag, [camera]), None)
            if first is None:
                raise ReplayError(f"{camera.image} has no messages")
            found.append(first)
        return found

    def _in_lockstep(self) -> Iterator[Answered]:
        unanswered = 0
        for frame in frames(self._bag, self._cameras, self.settings.every):
            answer = self._replay.show(frame, self._request.timeout_s)
            unanswered = 0 if answer.result else unanswered + 1
            if unanswered == _MOST_UNANSWERED:
                raise ReplayError(
                    f"{self._node.name} gave no results for {unanswered} images in a row, up to image "
                    f"{frame.index} of {frame.camera.name}{self._node.complaints}"
                )
            yield answer

    def _in_real_time(self) -> Iterator[Answered]:
        assert self._request.rate is not None
        return self._replay.play(
            self._bag,
            self._cameras,
            self._request.rate,
            self.settings.every,
            self._request.timeout_s,
        )

    # --- the two things to do ---

    def update(self) -> int:
        """Write the golden file; how many frames it has."""
        count = 0
        with GoldenWriter(self._request.golden, self.classes) as writer:
            for answer in self._answers():
                if answer.result is None:
                    raise ReplayError(
                        f"{self._node.name} gave no results for image {answer.frame.index} of "
                        f"{answer.frame.camera.name}: no golden file is written{self._node.complaints}"
                    )
                writer.add(answer.result)
                count += 1
            writer.finish(self.settings)
        return count

    def check(self) -> Report:
        """Compare with the golden file."""
        assert self._golden is not None
        golden, request = self._golden, self._request
        comparison = Comparison(golden.settings.names, self.settings.names, request.tolerances)
        differing: list[DifferingFrame] = []
        latencies_ms: list[float] = []
        count = 0
        start = time.monotonic()
        for answer in self._answers():
            count += 1
            expected = self._expected(answer)
            if answer.result is None:
                comparison.add_unanswered()
                continue
            latencies_ms.append(answer.latency_ms)
            if expected.label.shape != answer.result.label.shape:
                raise self._another_recording(f"images of {expected.label.shape[::-1]} pixels")
            reasons = comparison.add(expected, answer.result)
            if reasons and len(differing) < request.images:
                differing.append(self._drawn(answer, expected, answer.result, reasons))
        names = {camera.name for camera in self._cameras}
        if count < golden.frame_count(names):
            raise self._another_recording("more images")
        return Report(
            str(request.golden),
            golden.settings,
            self.settings,
            comparison.verdict(),
            tuple(differing),
            Latencies(tuple(latencies_ms), count),
            time.monotonic() - start,
            request.rate,
        )

    def _expected(self, answer: Answered) -> FrameResult:
        assert self._golden is not None
        frame = answer.frame
        expected = self._golden.frame(frame.camera.name, frame.index)
        if expected is None or expected.stamp_ns != frame.stamp_ns:
            raise self._another_recording(
                f"no image {frame.index} of {frame.camera.name} with the stamp {frame.stamp_ns}"
            )
        return expected

    def _another_recording(self, what: str) -> ReplayError:
        assert self._golden is not None
        return ReplayError(
            f"the golden file {self._golden.path} is of another recording ({self._golden.settings.recording}): it has "
            f"{what}; name that recording, or make the file anew with --update"
        )

    def _drawn(
        self, answer: Answered, golden: FrameResult, now: FrameResult, reasons: tuple[str, ...]
    ) -> DifferingFrame:
        image = per_image_threads(image_of(answer.frame), golden, now, self.classes)
        return DifferingFrame(golden.camera, golden.index, golden.stamp_ns, reasons, jpeg(image))
