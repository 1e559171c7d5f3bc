# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The worker: its threads of inference and post-processing."""

import threading
import time
from queue import Queue

import numpy as np
import pytest

from zs_seg_ros.perception import live_model
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.perception.worker import Worker
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import Batch, Frame, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

RED = np.full((4, 6, 3), (255, 0, 0), np.uint8)


class Running:
    """A worker with the fake model, and the scenes and errors that it delivers."""

    def __init__(self, *names: str, cameras: tuple[str, ...] = ("camera",)) -> None:
        self.model = LiveModel(lambda: 0)
        first = Vocabulary().changed_to(TargetClass(name) for name in names)
        self.model.load("fake", LoadOptions(), first if names else Vocabulary())
        self.slots = FrameSlots(cameras)
        self.scenes: Queue[Scene] = Queue()
        self.errors: Queue[Exception] = Queue()
        self.worker = Worker(
            self.model, self.slots, self.scenes.put, lambda error, _: self.errors.put(error)
        )

    def __enter__(self) -> "Running":
        self.worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.worker.stop(timeout_s=5)


def test_a_scene_has_the_header_of_its_frame_and_the_vocabulary() -> None:
    with Running("red cup") as running:
        running.slots.put(Frame("camera", RED, stamp_ns=17, frame_id="optical"))
        scene = running.scenes.get(timeout=5)
    assert (scene.frame.stamp_ns, scene.frame.frame_id) == (17, "optical")
    assert scene.vocabulary.names == ("red cup",)
    assert (scene.segmentation.label == 1).all()
    assert scene.stage_ms["segment"] > 0


def test_frames_that_wait_together_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Counting(FakeSegmenter):
        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            sizes.append(len(batch.images))
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: Counting())
    running = Running("red", cameras=("front", "rear"))
    sizes.clear()
    running.slots.put(Frame("front", RED))
    running.slots.put(Frame("rear", RED[:2]))
    with running:
        scenes = [running.scenes.get(timeout=5) for _ in range(2)]
    assert {scene.frame.camera for scene in scenes} == {"front", "rear"}
    assert sizes == [2]


def test_inference_on_a_frame_runs_in_parallel_with_delivery_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inference_on_the_second = threading.Event()

    class Reporting(FakeSegmenter):
        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            if batch.images[0].shape == RED[:2].shape:
                inference_on_the_second.set()
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: Reporting())
    running = Running("red")
    in_time: list[bool] = []

    def forward(scene: Scene) -> None:
        if scene.frame.stamp_ns == 1:
            running.slots.put(Frame("camera", RED[:2], stamp_ns=2))
            in_time.append(inference_on_the_second.wait(5))
        running.scenes.put(scene)

    running.worker = Worker(running.model, running.slots, forward, lambda *_: None)
    with running:
        running.slots.put(Frame("camera", RED, stamp_ns=1))
        stamps = [running.scenes.get(timeout=10).frame.stamp_ns for _ in range(2)]
    assert in_time == [True]
    assert stamps == [1, 2]


def test_a_frame_keeps_the_vocabulary_that_its_inference_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Held(FakeSegmenter):
        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            if batch.images[0].shape == RED.shape:  # a frame, not the check of a new vocabulary
                started.set()
                assert go_on.wait(5)
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: Held())
    with Running("red cup") as running:
        running.slots.put(Frame("camera", RED, stamp_ns=1))
        assert started.wait(5)
        running.model.change_vocabulary([TargetClass("blue"), TargetClass("red mug")])
        running.slots.put(Frame("camera", RED, stamp_ns=2))
        go_on.set()
        first, second = (running.scenes.get(timeout=5) for _ in range(2))
    assert first.vocabulary.version == 1
    assert (first.segmentation.label == 1).all()
    assert second.vocabulary.version == 2
    assert (second.segmentation.label == 3).all()


def test_an_error_of_the_model_drops_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    class FailsOnce(FakeSegmenter):
        failed = False

        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            if batch.images[0].shape == RED.shape and not self.failed:
                self.failed = True
                raise RuntimeError("out of memory")
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: FailsOnce())
    with Running("red") as running:
        running.slots.put(Frame("camera", RED, stamp_ns=1))
        assert str(running.errors.get(timeout=5)) == "out of memory"
        running.slots.put(Frame("camera", RED, stamp_ns=2))
        assert running.scenes.get(timeout=5).frame.stamp_ns == 2


def test_settings_apply_from_the_next_frame() -> None:
    nearly_red = np.full((4, 6, 3), (200, 20, 20), np.uint8)
    with Running("red") as running:
        running.slots.put(Frame("camera", nearly_red))
        assert running.scenes.get(timeout=5).segmentation.label.any()
        running.worker.settings = Settings(default_threshold=1.0)
        running.slots.put(Frame("camera", nearly_red))
        assert not running.scenes.get(timeout=5).segmentation.label.any()


def test_without_a_vocabulary_frames_are_dropped() -> None:
    with Running() as running:
        running.slots.put(Frame("camera", RED))
        time.sleep(0.05)
    assert running.scenes.empty()
    assert running.errors.empty()


def test_stop_returns_false_while_the_model_does_not_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Hangs(FakeSegmenter):
        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            if batch.images[0].shape == RED.shape:
                started.set()
                go_on.wait(10)
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: Hangs())
    running = Running("red")
    running.worker.start()
    running.slots.put(Frame("camera", RED))
    assert started.wait(5)
    assert not running.worker.stop(timeout_s=0.1)
    go_on.set()
    assert running.worker.stop(timeout_s=5)


def test_a_batch_that_hangs_is_abandoned_and_the_next_one_is_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    class HangsOnce(FakeSegmenter):
        hung = False

        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            if batch.images[0].shape == RED.shape and not self.hung:
                self.hung = True
                assert go_on.wait(20)
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: HangsOnce())
    with Running("red") as running:
        assert running.worker.give_up_after(0) is None  # no inference is in progress
        running.slots.put(Frame("camera", RED, stamp_ns=1))
        until = time.monotonic() + 5
        while (work := running.worker.give_up_after(0.05)) is None:
            assert time.monotonic() < until
        assert [frame.stamp_ns for frame in work.frames] == [1]
        running.slots.put(Frame("camera", RED, stamp_ns=2))
        assert running.scenes.get(timeout=5).frame.stamp_ns == 2
        go_on.set()
        running.slots.put(Frame("camera", RED, stamp_ns=3))
        assert running.scenes.get(timeout=5).frame.stamp_ns == 3
    assert running.scenes.empty() and running.errors.empty()


def test_at_most_three_threads_are_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    class Hangs(FakeSegmenter):
        def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
            assert batch.images[0].shape != RED.shape or go_on.wait(20)
            return super().segment(batch, encoded)

    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: Hangs())
    with Running("red") as running:
        abandoned = 0
        for _ in range(6):
            running.slots.put(Frame("camera", RED))
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                abandoned += running.worker.give_up_after(0.01) is not None
        assert abandoned == 3
        go_on.set()
