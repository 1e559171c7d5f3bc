# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Any frames and results in any order: nothing raises, and what is carried fits the newest frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zs_seg_ros.perception.motion_history import MOST_IMAGES, MotionHistory
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.types import (
    Box,
    DepthImage,
    DetectedObject,
    Frame,
    Intrinsics,
    Pose,
    Segmentation,
    size_of,
)

SIDES = st.sampled_from([1, 2, 3, 7, 31, 40, 200])
NOT_RECEIVED = -1
STAMPS_NS = st.sampled_from([0, 1, 10**8, 2 * 10**8, 3 * 10**8, 5 * 10**9, 6 * 10**9])


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    height, width = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    kind = draw(st.sampled_from(["u1", "<u2", ">u2"]))
    image: Any = rng.integers(0, 256, (height, width, 3)).astype(kind)
    image = draw(st.sampled_from([image, image[..., ::-1], image[::-1], image * 0]))
    depth = pose = None
    if draw(st.booleans()):
        values: Any = rng.choice([0, 500, 1000, 60000], (height, width)).astype(np.uint16)
        if draw(st.booleans()):
            values = rng.choice([np.nan, np.inf, -1, 0.5, 1e30], (height, width)).astype(np.float32)
        depth = DepthImage(values, Intrinsics(50, 50, width / 2, height / 2, width, height))
        translation = np.array(
            draw(st.sampled_from([(0.0, 0, 0), (0.1, 0, 0), (0, 0, -9.0), (np.inf, 0, 0)]))
        )
        pose = Pose(np.eye(3), translation)
    return Frame("camera", image, draw(STAMPS_NS), "", NOT_RECEIVED, depth, pose=pose)


@st.composite
def results(draw: st.DrawFn, frame: Frame) -> Segmentation:
    height, width = draw(st.sampled_from([size_of(frame.image), (3, 4)]))
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    label = rng.integers(0, 3, (height, width)).astype(draw(st.sampled_from([np.uint8, np.uint16])))
    confidence = np.where(label > 0, rng.integers(1, 256, label.shape), 0).astype(np.uint8)
    if draw(st.booleans()):
        return Segmentation(label, confidence)
    box = Box(width // 2, height // 2, width - width // 2, height - height // 2)
    instance = DetectedObject(1, 0.9, box, np.ones((box.height, box.width), bool))
    return Segmentation(label, confidence, (instance,))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_order_gives_results_that_fit_the_newest_frame(data: st.DataObject) -> None:
    propagator, known, newest = (
        Propagator(),
        data.draw(st.lists(frames(), min_size=1, max_size=4)),
        None,
    )
    for now_ns in range(data.draw(st.integers(1, 8))):
        number = data.draw(st.integers(0, len(known) - 1))
        action = data.draw(st.sampled_from(["observe", "observe", "update", "reset"]))
        if action == "observe" or known[number].received_ns == NOT_RECEIVED:
            known[number] = replace(known[number], received_ns=now_ns)
        frame = known[number]
        if action == "observe":
            propagator.observe(frame)
            newest = frame
        elif action == "update":
            segmentation = data.draw(results(frame))
            propagator.update(frame, segmentation)
            fits = segmentation.label.shape == size_of(frame.image)
            if fits and (newest is None or is_later(frame, newest, propagator)):
                newest = frame
        else:
            propagator.reset()
            newest = None
        for mode in ("auto", "flow"):
            carried = propagator.carried(mode)  # type: ignore[arg-type]
            if carried is None:
                continue
            assert newest is not None and carried.inferred_stamp_ns <= newest.stamp_ns
            check(carried.segmentation, size_of(newest.image))


def is_later(frame: Frame, newest: Frame, propagator: Propagator) -> bool:
    """Whether a frame whose result has arrived is the newest one now.

    One that was received before the other is not, whatever its stamp is, if all was forgotten in between.
    """
    if frame.stamp_ns <= newest.stamp_ns or frame.received_ns >= newest.received_ns:
        return frame.stamp_ns > newest.stamp_ns
    carried = propagator.carried("flow")
    return carried is not None and carried.inferred_stamp_ns == frame.stamp_ns


def check(segmentation: Segmentation, size: tuple[int, int]) -> None:
    assert segmentation.label.shape == size
    assert np.array_equal(segmentation.label > 0, segmentation.confidence > 0)
    for instance in segmentation.instances or ():
        box = instance.box
        assert box.left >= 0 and box.left + box.width <= size[1]
        assert box.top >= 0 and box.top + box.height <= size[0]
        assert 0 <= instance.score <= 0.9
        assert instance.mask.any(axis=1)[[0, -1]].all() and instance.mask.any(axis=0)[[0, -1]].all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 2_000_000_000), min_size=MOST_IMAGES, max_size=3 * MOST_IMAGES))
def test_memory_is_bounded_for_any_rate_of_images(gaps_ns: list[int]) -> None:
    history, rng, stamp_ns = MotionHistory(), np.random.default_rng(0), 0
    image = rng.integers(0, 256, (8, 8, 3), np.uint8)
    for number, gap_ns in enumerate(gaps_ns):
        stamp_ns += gap_ns
        history.add(Frame("camera", np.roll(image, number // 9, axis=1), stamp_ns))
        assert 1 <= len(history) <= MOST_IMAGES
