# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The carrier of one camera: results for every frame, from a model that answers when it likes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.perception import carrier as carrier_module
from zs_seg_ros.perception.carrier import Carrier, CarrierTasks, InferredFrame
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.types import DepthImage, Frame, Intrinsics, Pose, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

HEIGHT, WIDTH = 96, 128
WAIT_S = 20.0
STEP_NS = 50_000_000
FIRST = Vocabulary().changed_to([TargetClass("cup")])
SECOND = FIRST.changed_to([TargetClass("mug")])


def wall() -> NDArray[np.uint8]:
    noise = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (HEIGHT, 600)), (0, 0), 2)
    grey = (128 + 90 * noise / np.abs(noise).max()).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


WALL = wall()


def frame(number: int, *, cut: bool = False) -> Frame:
    """The image of a camera that pans by 2 pixels a frame. cut: that of another scene."""
    image = np.ascontiguousarray(WALL[:, 2 * number : 2 * number + WIDTH])
    if cut:
        blocks = np.random.default_rng(9).integers(0, 2, (HEIGHT // 8, WIDTH // 8), np.uint8)
        image = np.repeat(np.kron(255 * blocks, np.ones((8, 8), np.uint8))[..., None], 3, axis=2)
    return Frame("camera", image, stamp_ns=(1 + number) * STEP_NS)


def segmented(of: Frame, vocabulary: Vocabulary = FIRST) -> InferredFrame:
    """A result that labels the part of the wall between two fixed places."""
    left = 2 * (of.stamp_ns // STEP_NS - 1)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[30:60, max(0, 60 - left) : max(0, 100 - left)] = vocabulary.ids[0]
    return InferredFrame(
        of, Segmentation(label, 200 * (label > 0).astype(np.uint8)), vocabulary, 1.0
    )


class Bench:
    """A carrier, and what it offers and delivers."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings(**({"propagation": "flow"} | settings))  # type: ignore[arg-type]
        self.offered: Queue[Frame] = Queue()
        self.scenes: Queue[Scene] = Queue()
        self.errors: Queue[Exception] = Queue()
        self.poses: list[Frame] = []
        self.carrier = Carrier(
            "camera",
            CarrierTasks(
                settings=lambda: self.settings,
                pose_of=self.pose_of,
                infer=self.offered.put,
                deliver=self.deliver,
                failed=lambda error, _: self.errors.put(error),
            ),
        )

    def deliver(self, scene: Scene, _: Settings) -> None:
        self.scenes.put(scene)

    def pose_of(self, frame: Frame) -> Pose | None:
        self.poses.append(frame)
        return None

    def show(self, number: int, *, cut: bool = False) -> Frame:
        """Give a frame, and wait until it is offered to the model."""
        self.carrier.put(frame(number, cut=cut))
        return self.offered.get(timeout=WAIT_S)

    def scene(self) -> Scene:
        return self.scenes.get(timeout=WAIT_S)


@contextmanager
def bench(**settings: object) -> Iterator[Bench]:
    made = Bench(**settings)
    try:
        yield made
    finally:
        made.carrier.close(WAIT_S)
        assert made.errors.empty(), made.errors.get()


def test_a_result_is_carried_from_the_next_frame_on_with_its_vocabulary() -> None:
    with bench() as made:
        first = made.show(0)
        made.carrier.take_over(segmented(first))
        assert made.scene().inferred_stamp_ns == first.stamp_ns
        second = made.show(1)
        assert made.scene().frame.stamp_ns == second.stamp_ns
        for number in (2, 3):
            made.show(number)
            scene = made.scene()
            assert scene.propagated_from_ns == first.stamp_ns
            assert scene.vocabulary is FIRST
        made.carrier.take_over(segmented(second, SECOND))
        made.show(4)
        scene = made.scene()
        assert scene.inferred_stamp_ns == second.stamp_ns
        assert scene.vocabulary is SECOND
        assert set(np.unique(scene.segmentation.label)) == {0, SECOND.ids[0]}


def test_the_first_frame_waits_for_the_model_and_each_frame_is_answered_once() -> None:
    with bench() as made:
        first = made.show(0)
        with pytest.raises(Empty):
            made.scenes.get(timeout=0.05)
        made.carrier.take_over(segmented(first))
        scene = made.scene()
        assert (scene.frame.stamp_ns, scene.propagated_from_ns) == (first.stamp_ns, None)
        made.carrier.take_over(segmented(first))
        made.show(1)
        assert made.scene().frame.stamp_ns == 2 * STEP_NS
        assert made.scenes.empty()


def test_frames_without_a_result_are_counted_as_skipped() -> None:
    with bench() as made:
        for number in range(4):
            last = made.show(number)
        made.carrier.take_over(segmented(last))
        assert made.scene().frame.stamp_ns == last.stamp_ns
        assert made.carrier.skipped == 3


def test_after_a_cut_the_result_of_a_frame_before_it_is_not_shown() -> None:
    with bench() as made:
        first = made.show(0)
        made.carrier.take_over(segmented(first))
        made.scene()
        before = made.show(1)
        made.scene()
        after = made.show(2, cut=True)
        made.carrier.take_over(segmented(before))
        with pytest.raises(Empty):
            made.scenes.get(timeout=0.1)
        made.carrier.take_over(segmented(after))
        assert made.scene().inferred_stamp_ns == after.stamp_ns


def test_poses_are_looked_up_for_frames_with_depth_in_the_mode_auto_alone() -> None:
    intrinsics = Intrinsics(100, 100, 64, 48, WIDTH, HEIGHT)
    depth = DepthImage(np.full((HEIGHT, WIDTH), 2.0, np.float32), intrinsics)
    for mode, with_depth, expected in (("flow", True, 0), ("auto", False, 0), ("auto", True, 1)):
        with bench(propagation=mode) as made:
            plain = frame(0)
            made.carrier.put(
                Frame("camera", plain.image, plain.stamp_ns, depth=depth if with_depth else None)
            )
            made.offered.get(timeout=WAIT_S)
            assert len(made.poses) == expected


def test_a_frame_that_fails_is_reported_and_the_next_is_processed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Bench()

    def fail(scene: Scene, _: Settings) -> None:
        if scene.frame.stamp_ns == STEP_NS:
            raise RuntimeError("no memory")
        made.scenes.put(scene)

    monkeypatch.setattr(made, "deliver", fail)
    made.carrier.close(WAIT_S)
    made.carrier = Carrier(
        "camera",
        CarrierTasks(
            settings=lambda: made.settings,
            pose_of=made.pose_of,
            infer=made.offered.put,
            deliver=fail,
            failed=lambda error, _: made.errors.put(error),
        ),
    )
    made.carrier.take_over(segmented(made.show(0)))
    assert str(made.errors.get(timeout=WAIT_S)) == "no memory"
    made.carrier.take_over(segmented(made.show(1)))
    assert made.scene().frame.stamp_ns == 2 * STEP_NS
    made.carrier.close(WAIT_S)


# --- inference_every ---


def run_in_step(every: int, seed: int) -> list[tuple[int, int, bytes]]:
    """The scenes of 14 frames, the next one given when one is answered; the model takes a random time."""
    delays = random.Random(seed)
    with bench(inference_every=every) as made:

        def model() -> None:
            while (offered := made.offered.get()).stamp_ns:
                time.sleep(delays.choice((0.0, 0.002, 0.03)))
                made.carrier.take_over(segmented(offered))

        thread = threading.Thread(target=model)
        thread.start()
        scenes = []
        for number in range(14):
            made.carrier.put(frame(number, cut=number >= 11))
            scenes.append(made.scene())
        made.offered.put(Frame("camera", WALL, stamp_ns=0))
        thread.join()
    return [
        (s.frame.stamp_ns, s.inferred_stamp_ns, s.segmentation.confidence.tobytes()) for s in scenes
    ]


def test_in_step_results_do_not_depend_on_the_speed_of_the_model() -> None:
    runs = [run_in_step(4, seed) for seed in range(3)]
    assert runs[0] == runs[1] == runs[2]
    inferred = [stamp_ns // STEP_NS - 1 for _, stamp_ns, _ in runs[0]]
    assert inferred == [0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 11, 11, 11]


def test_in_step_a_model_that_fails_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_LONGEST_WAIT_S", 3600.0)
    with bench(inference_every=2) as made:
        made.carrier.put(frame(0))
        made.offered.get(timeout=WAIT_S)
        made.carrier.lose()
        made.carrier.put(frame(1))
        made.carrier.take_over(segmented(made.offered.get(timeout=WAIT_S)))
        assert made.scene().frame.stamp_ns == 2 * STEP_NS
