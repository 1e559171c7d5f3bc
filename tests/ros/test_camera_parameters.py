# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parameters of a camera over DDS: names of topics, rotation, frame, unit of depth, video, and limits of images."""

from __future__ import annotations

import importlib.util
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planner import Planner, image_message, pixels, running_node, stamp, stripes, wait_until
from sensor_msgs.msg import CompressedImage
from test_compressed import encoded, video_of
from test_depth import camera_info, depth_image

from zs_seg_ros import srv
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

IMAGE = stripes("red", "white", "blue")
CLASSES = ["red", "blue"]
FFMPEG = "ffmpeg_image_transport_msgs"
NEEDS_NO_FFMPEG = pytest.mark.skipif(
    importlib.util.find_spec(FFMPEG) is not None, reason=f"{FFMPEG} is installed"
)


def label_from(planner: Planner, topic: str, message: Any) -> Any:
    """The label message of an image that is published on a topic."""
    labels = planner.outputs()
    planner.publish(topic, message)
    return planner.output_with_stamp_of(message, labels)


def compressed(image: NDArray[np.uint8]) -> CompressedImage:
    message = CompressedImage(format="png", data=encoded(image[..., ::-1]))
    stamp(message, time.time_ns())
    return message


# --- topics ---


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("/zed/zed_node/left/image_rect_color", "/zed/zed_node/left/image_rect_color"),
        ("/image_raw", "/image_raw"),
        ("image_raw", "/image_raw"),
        ("~/image", "/zs_seg/image"),
    ],
)
def test_images_come_from_the_topic_that_is_named(name: str, topic: str) -> None:
    with running_node({"camera.image_topic": name, "classes": CLASSES}) as planner:
        label = label_from(planner, topic, image_message(IMAGE))
        assert pixels(label)[0, ::16].tolist() == [1, 0, 2]
        assert planner.node.count_subscribers("/camera/image_raw") == 0


def test_a_compressed_topic_is_named_with_its_suffix() -> None:
    parameters = {"camera.transport": "compressed", "camera.image_topic": "/usb/jpegs"}
    with running_node(parameters | {"classes": CLASSES}) as planner:
        label = label_from(planner, "/usb/jpegs", compressed(IMAGE))
        assert pixels(label)[0, ::16].tolist() == [1, 0, 2]


def test_the_topic_can_change_while_the_node_runs() -> None:
    with running_node({"classes": CLASSES}) as planner:
        assert pixels(planner.answer_to(image_message(IMAGE))).any()
        assert planner.set_parameters({"camera.image_topic": "/other"}).successful
        wait_until(lambda: planner.node.count_subscribers("/other"), "the other topic")
        wait_until(lambda: not planner.node.count_subscribers("/camera/image_raw"), "the end")


def test_a_topic_without_a_publisher_is_reported_with_the_parameter_that_names_it() -> None:
    with running_node({"camera.image_topic": "/typo", "classes": CLASSES}) as planner:
        planner.outputs()
        planner.diagnosis_saying("camera", "/typo has no publisher", "camera.image_topic")


def positions(
    planner: Planner, depth: NDArray[Any], depth_topic: str, info_topic: str
) -> list[Any]:
    """The positions of the objects of IMAGE, as soon as they have some."""
    objects = planner.outputs("objects")

    def found() -> list[Any]:
        message = image_message(IMAGE)
        planner.publish(info_topic, camera_info())
        planner.publish(depth_topic, depth_image(depth, message))
        planner.send(message)
        result = planner.output_with_stamp_of(message, objects)
        return [detected.position for detected in result.objects if detected.has_position]

    return wait_until(found, "positions")


def test_depth_and_camera_info_come_from_the_topics_that_are_named() -> None:
    depth_topic, info_topic = "/camera/aligned_depth_to_color/image_raw", "/camera/color/info"
    parameters = {
        "camera.depth": True,
        "camera.depth_topic": depth_topic,
        "camera.info_topic": info_topic,
        "classes": CLASSES,
    }
    with running_node(parameters) as planner:
        depth = np.full(IMAGE.shape[:2], 2.0, np.float32)
        for position in positions(planner, depth, depth_topic, info_topic):
            assert position.z == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("depth", "scale"),
    [
        (np.full(IMAGE.shape[:2], 15_000, np.uint16), 0.0001),
        (np.full(IMAGE.shape[:2], 1500.0, np.float32), 0.001),
        (np.full(IMAGE.shape[:2], 0.5, np.float32), 3.0),
    ],
    ids=["tenths of a millimetre", "millimetres as floats", "a unit of three metres"],
)
def test_depth_has_the_unit_that_is_named(depth: NDArray[Any], scale: float) -> None:
    parameters = {"camera.depth": True, "camera.depth_scale": scale, "classes": CLASSES}
    with running_node(parameters) as planner:
        topics = ("/camera/depth/image_raw", "/camera/camera_info")
        for position in positions(planner, depth, *topics):
            assert position.z == pytest.approx(1.5, abs=0.01)


# --- frames and rotation ---


def test_a_frame_is_filled_in_where_the_driver_names_none() -> None:
    with running_node({"camera.frame_id": "wrist_optical", "classes": CLASSES}) as planner:
        without = planner.answer_to(image_message(IMAGE, frame_id=""))
        assert without.header.frame_id == "wrist_optical"
        own = planner.answer_to(image_message(IMAGE, frame_id="optical"))
        assert own.header.frame_id == "optical"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_model_gets_upright_images_and_results_fit_the_camera(
    rotation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferred: list[NDArray[Any]] = []
    segment = FakeSegmenter.segment

    def recording(
        self: FakeSegmenter, batch: Batch, vocabulary: EncodedVocabulary[Any]
    ) -> list[Segmentation]:
        inferred.extend(np.array(image) for image in batch.images)
        return segment(self, batch, vocabulary)

    monkeypatch.setattr(FakeSegmenter, "segment", recording)
    image = np.vstack([IMAGE, stripes("blue", "white", "white", height=8)])
    with running_node({"camera.rotation": rotation, "classes": CLASSES}) as planner:
        label = planner.label_of(image)
        assert label[::24, ::16].tolist() == [[1, 0, 2], [2, 0, 0]]
        assert np.array_equal(inferred[-1], np.rot90(image, -rotation // 90))


# --- video ---


def test_a_subscription_keeps_every_packet_as_soon_as_it_receives_video() -> None:
    with running_node({"camera.transport": "compressed", "classes": ["grey"]}) as planner:
        topic = "/camera/image_raw/compressed"
        labels = planner.outputs()
        planner.publish(topic, compressed(IMAGE))
        assert planner.depth_of_subscription(topic) == 1
        [keyframe] = video_of(130)

        def kept() -> bool:
            planner.publish(topic, keyframe)
            time.sleep(0.05)
            return planner.depth_of_subscription(topic) == 30

        wait_until(kept, "a depth of 30")
        wait_until(lambda: any(pixels(label).all() for label in labels), "a label image of grey")


@NEEDS_NO_FFMPEG
def test_the_ffmpeg_transport_needs_its_messages() -> None:
    sentence = "the package ffmpeg_image_transport_msgs is not installed"
    with running_node({"camera.transport": "ffmpeg"}, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", sentence)
    with running_node({"classes": CLASSES}) as planner:
        result = planner.set_parameters({"camera.transport": "ffmpeg"})
        assert not result.successful and sentence in result.reason
        assert pixels(planner.answer_to(image_message(IMAGE))).any()


@NEEDS_NO_FFMPEG
def test_packets_of_the_ffmpeg_transport_are_segmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CompressedImage in the place of FFMPEGPacket, which differs in the name of the encoding's field."""
    messages = ModuleType(f"{FFMPEG}.msg")
    package = ModuleType(FFMPEG)
    package.__spec__ = ModuleSpec(FFMPEG, None)
    messages.FFMPEGPacket = CompressedImage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, FFMPEG, package)
    monkeypatch.setitem(sys.modules, f"{FFMPEG}.msg", messages)
    with running_node({"camera.transport": "ffmpeg", "classes": ["grey"]}) as planner:
        labels, topic = planner.outputs(), "/camera/image_raw/ffmpeg"
        for packet in video_of(130, 20, 130):
            stamp(packet, time.time_ns())
            planner.publish(topic, packet)
            label = planner.output_with_stamp_of(packet, labels)
        assert pixels(label).all()
        assert planner.depth_of_subscription(topic) == 30


# --- limits ---


def test_the_limit_of_pixels_changes_while_images_are_received() -> None:
    request = srv.SegmentImage.Request(image=image_message(IMAGE))
    with running_node({"classes": CLASSES}) as planner:
        assert pixels(planner.answer_to(image_message(IMAGE))).any()
        assert planner.set_parameters(
            {"max_image_pixels": IMAGE.shape[0] * IMAGE.shape[1] - 1}
        ).successful
        planner.send(image_message(IMAGE))
        planner.diagnosis_saying("camera", "48x24 pixels is dropped", "(max_image_pixels)")
        answer = planner.call(srv.SegmentImage, "segment", request)
        assert not answer.success and "(max_image_pixels)" in answer.message
        assert planner.set_parameters(
            {"max_image_pixels": IMAGE.shape[0] * IMAGE.shape[1]}
        ).successful
        assert pixels(planner.answer_to(image_message(IMAGE))).any()
        assert planner.call(srv.SegmentImage, "segment", request).success


def test_the_total_of_prompts_is_limited_and_can_change() -> None:
    with running_node({"max_total_prompts": 2}) as planner:
        assert planner.set_vocabulary("red", "blue").success
        refused = planner.set_vocabulary("red", "blue", "green")
        assert not refused.success and "(max_total_prompts)" in refused.message
        assert set(planner.ids()) == {"red", "blue"}
        assert planner.set_parameters({"max_total_prompts": 3}).successful
        assert planner.set_vocabulary("red", "blue", "green").success


def test_a_vocabulary_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = FakeSegmenter.encode

    def slow(self: FakeSegmenter, vocabulary: Vocabulary) -> EncodedVocabulary[Any]:
        time.sleep(0.05)
        check_time()
        return encode(self, vocabulary)

    monkeypatch.setattr(FakeSegmenter, "encode", slow)
    with running_node({"vocabulary_timeout": 0.01, "classes": CLASSES}) as planner:
        for answer in (
            planner.set_vocabulary("green"),
            planner.call(
                srv.SegmentImage,
                "segment",
                srv.SegmentImage.Request(
                    image=image_message(IMAGE), classes=planner.get_vocabulary().classes
                ),
            ),
        ):
            assert not answer.success
            assert "longer than vocabulary_timeout (0.01 s)" in answer.message
        assert set(planner.ids()) == set(CLASSES)
        assert planner.set_parameters({"vocabulary_timeout": 0.0}).successful
        assert planner.set_vocabulary("green").success
