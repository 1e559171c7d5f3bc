# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Objects as a planner reads them, with nothing but the messages in hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planner import Planner, image_message, pixels, running_node, stamp, stripes
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from zs_seg_ros import msg
from zs_seg_ros.bags.bag import Bag, ground_truth_labels, shipped_bag
from zs_seg_ros.perception.masks import decode_runs, extract_objects
from zs_seg_ros.ros.scene_messages import objects_message
from zs_seg_ros.types import Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@pytest.fixture
def planner() -> Iterator[Planner]:
    with running_node() as planner:
        yield planner


def painted(array: msg.ObjectMaskArray) -> NDArray[Any]:
    """The label image that the objects add up to, the most confident on top."""
    label = np.zeros((array.height, array.width), np.uint16)
    for thing in reversed(array.objects):
        mask = decode_runs(thing.counts, thing.roi.height, thing.roi.width)
        rows = slice(thing.roi.y_offset, thing.roi.y_offset + thing.roi.height)
        columns = slice(thing.roi.x_offset, thing.roi.x_offset + thing.roi.width)
        label[rows, columns][mask] = thing.class_id
        assert thing.area == mask.sum()
        assert mask.any(axis=0)[[0, -1]].all() and mask.any(axis=1)[[0, -1]].all()
    return label


def test_the_masks_of_all_objects_are_the_label_image(planner: Planner) -> None:
    planner.set_parameters({"min_area": 1, "max_objects": 1000})
    planner.set_vocabulary("red", "blue", "green")
    noise = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    message = image_message(noise.repeat(9, axis=0).repeat(7, axis=1))
    planner.outputs("objects")
    label = pixels(planner.answer_to(message))
    array = planner.output_with_stamp_of(message, planner.outputs("objects"))
    assert len(array.objects) > 3
    assert (painted(array) == label).all()


def test_a_message_is_at_most_a_twentieth_of_its_masks_as_images() -> None:
    """With the true masks of the shipped recording, all its names at once."""
    folder = shipped_bag()
    names = [label.name for label in ground_truth_labels(folder)]
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in names)
    message_bytes = image_bytes = 0
    with Bag(folder) as bag:
        messages = bag.messages(["/camera/ground_truth/label"])
        labels = [pixels(message.content) for message in messages][::20]
    for label in labels:
        certain = np.where(label > 0, 255, 0).astype(np.uint8)
        objects = extract_objects(Segmentation(label, certain), min_area=50, max_objects=100)
        message = objects_message(objects, label.shape, vocabulary, Header())
        message_bytes += len(serialize_message(message))
        image_bytes += len(objects) * label.size
    assert image_bytes > 50 * label.size
    assert message_bytes <= 0.05 * image_bytes


def test_an_object_says_what_it_is(planner: Planner) -> None:
    planner.set_vocabulary("blue cup", "red mug")
    message = image_message(stripes("red", "white", height=24, width=16), frame_id="left/optical")
    array = planner.answer_to(message, "objects")
    assert array.header == message.header
    assert array.inferred_stamp == message.header.stamp
    assert (array.height, array.width, array.vocabulary_version) == (24, 32, 1)
    [thing] = array.objects
    assert (thing.class_id, thing.class_name, thing.area) == (2, "red mug", 24 * 16)
    assert (thing.roi.x_offset, thing.roi.y_offset) == (0, 0)
    assert (thing.roi.width, thing.roi.height, thing.roi.do_rectify) == (16, 24, False)
    assert list(thing.counts) == [0, 24 * 16]
    assert thing.score > 0.9
    assert not thing.has_position


def test_min_area_and_max_objects_apply_from_the_next_frame(planner: Planner) -> None:
    planner.set_vocabulary("red", "blue")
    image = stripes("red", "white", "blue", height=10, width=10)
    image = np.concatenate([image, stripes("red", "white", "white", height=10, width=10)])

    def areas() -> list[int]:
        return sorted(o.area for o in planner.answer_to(image_message(image), "objects").objects)

    assert areas() == [100, 200]
    assert planner.set_parameters({"min_area": 150}).successful
    assert areas() == [200]
    assert planner.set_parameters({"min_area": 1, "max_objects": 1}).successful
    assert len(areas()) == 1


def test_a_thing_keeps_its_track_until_the_vocabulary_changes(planner: Planner) -> None:
    planner.set_vocabulary("red")
    start_ns = image_message(stripes("red")).header.stamp.sec * 10**9

    def track(frame: int) -> int:
        image = np.full((48, 96, 3), 245, np.uint8)
        image[10:34, 4 + frame : 28 + frame] = (220, 30, 30)
        message = image_message(image)
        stamp(message, start_ns + frame * 10**8)
        [thing] = planner.answer_to(message, "objects").objects
        return int(thing.track_id)

    first = [track(frame) for frame in range(8)]
    assert first[-1] > 0
    assert set(first) <= {0, first[-1]}
    planner.set_vocabulary("red thing")
    second = [track(frame) for frame in range(8, 16)]
    assert second[-1] > 0
    assert first[-1] not in second


def test_tracking_can_be_switched_off_while_frames_flow(planner: Planner) -> None:
    planner.set_vocabulary("red")
    assert planner.set_parameters({"track": False}).successful
    for _ in range(4):
        [thing] = planner.answer_to(image_message(stripes("red", "white")), "objects").objects
        assert thing.track_id == 0


def stages(planner: Planner, output: str, vocabulary: str) -> set[str]:
    """The stages that diagnostics name when only one output is subscribed to."""
    planner.set_vocabulary(vocabulary)
    planner.answer_to(image_message(stripes("red", "white")), output)
    status = planner.diagnosis(
        "camera",
        lambda s: any(v.key == "segment (ms)" for v in s.values),
        "the time of a stage",
    )
    return {v.key.removesuffix(" (ms)") for v in status.values if v.key.endswith(" (ms)")}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("label", {"frame age", "segment", "publish"}),
        ("objects", {"frame age", "segment", "objects", "track", "publish"}),
    ],
)
def test_a_stage_that_nobody_needs_does_not_run(
    planner: Planner, output: str, expected: set[str]
) -> None:
    assert stages(planner, output, "red") == expected
