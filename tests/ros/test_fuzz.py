# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Twenty thousand generated messages and requests: each gets an answer or is dropped, and the next good one works."""

from __future__ import annotations

import itertools
import math
import random
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planner import image_message, pixels, stripes, wait_until
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from zs_seg_ros import msg, srv
from zs_seg_ros.errors import ImageError
from zs_seg_ros.images import message_images
from zs_seg_ros.ros.camera_input import CameraInput
from zs_seg_ros.ros.node import SegmentationNode

AT_ONCE = 100
GOOD = image_message(stripes("red", "blue"))
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "16UC1", "32FC1", "8UC3", "bayer_rggb8", "yuv422",
    "", "nonsense", "rgb8\0", "RGB8",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    24,
    32,
    64,
    96,
    255,
    256,
    16384,
    16385,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
REALS = (0.0, 1.0, 0.5, -1.0, 1e-9, 1e9, 1e300, math.nan, math.inf, -math.inf)
TEXTS = (
    "", " ", "red", "blue mug", "r" * 301, "x" * 10_000, "\0", "red\nblue", "赤い", "\u202eder", "'; rm", "a b  c",
    "\ud7ff", "😀", "%s{}", "1", "None", "red ",
)  # fmt: skip


@pytest.fixture(scope="module")
def node() -> Iterator[SegmentationNode]:
    """Active; nothing spins it: the tests call its entry points as an executor would."""
    parameters = {
        "model": "fake", "autostart": False, "classes": ["red"], "cameras": ["plain", "packed"],
        "plain.depth": True, "packed.transport": "compressed", "packed.depth": True,
        "packed.depth_transport": "compressed",
    }  # fmt: skip
    node = SegmentationNode(
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()]
    )
    node.trigger_configure()
    node.trigger_activate()
    viewer = Node("viewer")  # without subscribers the node would convert no image
    for name in ("plain", "packed"):
        viewer.create_subscription(msg.ObjectMaskArray, f"/zs_seg/{name}/objects", print, 1)
        viewer.create_subscription(PointCloud2, f"/zs_seg/{name}/points", print, 1)
    wait_until(lambda: all(c.outputs.requested() for c in node._cameras), "subscribers matched")
    yield node
    viewer.destroy_node()
    node.destroy_node()


CHANGEABLE = (
    "default_threshold", "min_area", "max_objects", "track", "model_timeout", "max_classes", "max_prompts",
    "max_prompt_length", "max_image_side", "plain.reliability", "packed.transport", "cameras",
)  # fmt: skip


def data(rng: random.Random, most: int = 4000) -> array[int]:
    kinds = (
        lambda: b"",
        lambda: rng.randbytes(rng.randrange(most)),
        lambda: bytes(rng.randrange(most)),
        lambda: b"\xff" * rng.randrange(most),
    )
    return array("B", rng.choice(kinds)())


def stamped(rng: random.Random, message: Any) -> Any:
    message.header.stamp.sec = rng.choice((0, 1, -1, 2**31 - 1, -(2**31), rng.randrange(2**31)))
    message.header.stamp.nanosec = rng.choice(
        (0, 999_999_999, 10**9, 2**32 - 1, rng.randrange(10**9))
    )
    message.header.frame_id = rng.choice(TEXTS)
    return message


def any_image(rng: random.Random) -> Image:
    """A good one with some fields wrong, or one of nothing but chance."""
    height, width = rng.randrange(1, 40), rng.randrange(1, 40)
    step = width * rng.choice((1, 2, 3, 4)) + rng.choice((0, 0, 1, 5))
    message = Image(
        height=height, width=width, encoding=rng.choice(ENCODINGS), step=step, is_bigendian=rng.choice((0, 1, 255))
    )  # fmt: skip
    message.data = array("B", rng.randbytes(height * step)) if rng.random() < 0.7 else data(rng)
    if rng.random() < 0.4:
        setattr(message, rng.choice(("height", "width", "step")), rng.choice(NUMBERS))
    return stamped(rng, message)


def any_compressed(rng: random.Random) -> CompressedImage:
    image = np.frombuffer(rng.randbytes(20 * 30 * 3), np.uint8).reshape(20, 30, 3)
    packed = bytearray(cv2.imencode(rng.choice((".png", ".jpg")), image)[1].tobytes())
    for _ in range(rng.choice((0, 1, 5, 50))):
        packed[rng.randrange(len(packed))] = rng.randrange(256)
    if rng.random() < 0.3:
        del packed[rng.randrange(len(packed)) :]
    head = rng.choice((b"", rng.randbytes(12)))
    message = CompressedImage(data=array("B", head + bytes(packed)))
    message.format = rng.choice(
        ("png", "jpeg", "", "16UC1; compressedDepth png", "32FC1; compressedDepth rvl", *TEXTS)
    )
    return stamped(rng, message)


def any_info(rng: random.Random) -> CameraInfo:
    message = CameraInfo(height=rng.choice(NUMBERS), width=rng.choice(NUMBERS))
    message.k = [rng.choice((*REALS, 500.0, 320.0)) for _ in range(9)]
    return stamped(rng, message)


def any_target(rng: random.Random) -> msg.TargetClass:
    found = msg.TargetClass(
        name=rng.choice(TEXTS),
        prompts=[rng.choice(TEXTS) for _ in range(rng.choice((0, 0, 1, 3, 40)))],
        threshold=rng.choice(REALS[:5] + REALS[7:]),
    )
    for _ in range(rng.choice((0, 0, 0, 1, 9))):
        found.exemplars.append(msg.Exemplar(image=any_image(rng), mask=any_image(rng)))
    return found


def any_targets(rng: random.Random) -> list[msg.TargetClass]:
    return [any_target(rng) for _ in range(rng.choice((0, 1, 2, 5)))]


def any_parameter(rng: random.Random) -> Parameter:
    name = rng.choice((*CHANGEABLE, "model", "classes", "device", "vocabulary_file"))
    value = rng.choice(
        (0, 1, -1, 10**9, *REALS, *TEXTS, True, [""], ["a", "a"], ["no topic!"], [1, 2])
    )
    return Parameter(name, value=value)


def received(message: Image | CompressedImage, rng: random.Random) -> bytes:
    """The bytes of a message as they are received; now and then damaged, or cut off."""
    serialised = bytearray(serialize_message(message))
    for _ in range(rng.choice((0, 0, 0, 1, 20))):
        serialised[rng.randrange(len(serialised))] = rng.randrange(256)
    if rng.random() < 0.1:
        del serialised[rng.randrange(len(serialised)) :]
    return bytes(serialised)


def show(node: SegmentationNode, rng: random.Random) -> None:
    """An image to a camera, as its subscription does."""
    packed = rng.random() < 0.5
    message = any_compressed(rng) if packed else any_image(rng)
    camera_input(node, packed)._on_image(received(message, rng))


def show_depth(node: SegmentationNode, rng: random.Random) -> None:
    packed = rng.random() < 0.5
    depth = camera_input(node, packed).depth
    assert depth is not None
    depth._on_info(any_info(rng))
    depth._on_depth(received(any_compressed(rng) if packed else any_image(rng), rng))


def camera_input(node: SegmentationNode, packed: bool) -> CameraInput:
    camera = node._cameras.get("packed" if packed else "plain")
    assert camera is not None
    return camera.input


def change_words(node: SegmentationNode, rng: random.Random) -> None:
    before = node._model.vocabulary
    request = srv.SetVocabulary.Request(classes=any_targets(rng))
    answer = node._vocabulary_services._on_set_vocabulary(request, srv.SetVocabulary.Response())
    assert answer.success != bool(answer.message) and "\n" not in answer.message
    assert answer.success or node._model.vocabulary is before


def ask(node: SegmentationNode, rng: random.Random) -> None:
    request = srv.SegmentImage.Request(image=any_image(rng), classes=any_targets(rng))
    answer = node._vocabulary_services._on_segment(request, srv.SegmentImage.Response())
    assert answer.success != bool(answer.message)


def set_parameter(node: SegmentationNode, rng: random.Random) -> None:
    result = node.set_parameters_atomically([any_parameter(rng)])
    assert result.successful or result.reason


ENTRIES: tuple[Callable[[SegmentationNode, random.Random], None], ...] = (
    show, show, show, show_depth, show_depth, change_words, ask, set_parameter,
)  # fmt: skip


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_comes_the_next_good_request_is_answered_right(
    node: SegmentationNode, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.perception.live_model._WARM_UP_SIZE", (8, 8))
    rng, at_first = random.Random(seed), node.get_parameters(list(CHANGEABLE))
    for entry in itertools.islice(itertools.cycle(ENTRIES), AT_ONCE):
        entry(node, rng)
    assert node.set_parameters_atomically(at_first).successful
    words = [msg.TargetClass(name="red"), msg.TargetClass(name="blue")]
    answer = node._vocabulary_services._on_set_vocabulary(
        srv.SetVocabulary.Request(classes=words), srv.SetVocabulary.Response()
    )
    assert answer.success, answer.message
    good = node._vocabulary_services._on_segment(
        srv.SegmentImage.Request(image=GOOD), srv.SegmentImage.Response()
    )
    assert good.success, good.message
    red, blue = answer.vocabulary.ids
    assert pixels(good.label)[0, ::16].tolist() == [red, blue]
    assert node._segmentation is not None
    assert node._segmentation._worker._threads[-1].is_alive()


def test_reading_any_image_gives_an_image_or_an_image_error() -> None:
    rng = random.Random(7)
    for _ in range(2000):
        message = any_image(rng)
        try:
            image = message_images.image_from_message(message)
        except ImageError:
            continue
        assert image.shape == (message.height, message.width, 3)
