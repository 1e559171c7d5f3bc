# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Messages that `zs-seg label` writes without ROS, read with ROS: they equal those of the node."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag import Bag, shipped_bag
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.images.message_images import (
    depth_from_image,
    image_from_message,
    stamp_ns,
)
from zs_seg_ros.labelling.messages import message_types
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.run import label
from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.conversions import header_of, vocabulary_message
from zs_seg_ros.ros.scene_messages import confidence_message, label_message, objects_message
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import DepthImage, Frame, Scene, size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

VOCABULARY = Vocabulary().changed_to([TargetClass("red", ("red", "orange")), TargetClass("yellow")])
FRAMES = 240


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "out"
    label(
        LabelRequest(
            (shipped_bag(),),
            folder,
            VOCABULARY,
            "fake",
            LoadOptions("cpu"),
            Settings(),
            depth=True,
        )
    )
    return folder


def serialised(folder: Path, topic: str) -> list[bytes]:
    with Bag(folder) as bag:
        return [message.serialised for message in bag.messages([topic])]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Process the shipped bag frame by frame, with the depth image of the same stamp."""
    with Bag(shipped_bag()) as bag:
        [info, *_] = (m.content for m in bag.messages(["/camera/camera_info"]))
        depths = [m.content for m in bag.messages(["/camera/depth/image_raw"])]
        images = [m.content for m in bag.messages(["/camera/image_raw"])]
    pipeline, segmenter = Pipeline(), FakeSegmenter()
    encoded, processed = segmenter.encode(VOCABULARY), []
    for image, depth in zip(images, depths, strict=True):
        stamp = stamp_ns(image.header.stamp)
        assert stamp == stamp_ns(depth.header.stamp)
        frame = Frame(
            "camera",
            image_from_message(image),
            stamp,
            image.header.frame_id,
            depth=DepthImage(depth_from_image(depth), intrinsics_from_info(info), stamp),
            requested=RequestedOutputs(objects=True, surfaces=True),
        )
        processed += pipeline.process([frame], segmenter, encoded, Settings())
    return processed


def test_label_and_confidence_are_the_nodes(out: Path, scenes: list[Scene]) -> None:
    labels, confidences = (
        [deserialize_message(data, Image) for data in serialised(out, f"/zs_seg/camera/{name}")]
        for name in ("label", "confidence")
    )
    assert len(labels) == len(confidences) == len(scenes) == FRAMES
    for scene, one_label, confidence in zip(scenes, labels, confidences, strict=True):
        segmentation, header = scene.segmentation, header_of(scene.frame)
        assert one_label == label_message(segmentation.label, header)
        assert confidence == confidence_message(segmentation.confidence, header)


def test_objects_are_the_nodes_with_identities_and_positions(
    out: Path, scenes: list[Scene]
) -> None:
    recorded = serialised(out, "/zs_seg/camera/objects")
    identities: dict[int, int] = {0: 0}
    positions = 0
    for scene, data in zip(scenes, recorded, strict=True):
        labelled = deserialize_message(data, messages.ObjectMaskArray)
        expected = objects_message(
            scene.objects, size_of(scene.frame.image), scene.vocabulary, header_of(scene.frame)
        )
        for detected, same in zip(labelled.objects, expected.objects, strict=True):
            # Track ids may differ, but consistently.
            assert identities.setdefault(same.track_id, detected.track_id) == detected.track_id
            same.track_id, same.score = detected.track_id, float(np.float32(same.score))
            positions += detected.has_position
        assert labelled == expected
    assert sorted(identities.values()) == list(range(len(identities))) and len(identities) > 5
    assert positions > FRAMES


def test_the_vocabulary_is_the_nodes(out: Path) -> None:
    [data] = serialised(out, "/zs_seg/vocabulary")
    labelled = deserialize_message(data, messages.Vocabulary)
    expected = vocabulary_message(VOCABULARY)
    expected.header = labelled.header
    assert labelled == expected


def test_exemplars_are_the_nodes() -> None:
    from zs_seg_ros.labelling.messages import serialised as cdr
    from zs_seg_ros.labelling.messages import vocabulary_message as without_ros

    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    mask = np.eye(4, 5, dtype=bool)
    target = TargetClass("duck", exemplars=(Exemplar(image, mask), Exemplar(image)))
    vocabulary = Vocabulary().changed_to([target])
    data = bytes(cdr(without_ros(vocabulary)))
    assert deserialize_message(data, messages.Vocabulary) == vocabulary_message(vocabulary)


@pytest.mark.parametrize(
    "name", ["Exemplar", "ObjectMask", "ObjectMaskArray", "TargetClass", "Vocabulary"]
)
def test_types_have_the_hash_that_ros_gives_them(name: str) -> None:
    description = Path(get_package_share_directory("zs_seg_ros"), "msg", f"{name}.json")
    if not description.is_file():
        pytest.skip("this ROS 2 distribution has no type hashes")
    [expected] = [
        entry["hash_string"]
        for entry in json.loads(description.read_text())["type_hashes"]
        if entry["type_name"] == f"zs_seg_ros/msg/{name}"
    ]
    assert message_types().hash_rihs01(f"zs_seg_ros/msg/{name}") == expected
