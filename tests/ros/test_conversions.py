# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Messages ↔ the core's types, against oracles that read byte by byte."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from zs_seg_ros.errors import ImageError, VocabularyError
from zs_seg_ros.images.message_images import image_from_message, stamp_ns
from zs_seg_ros.ros import vision_messages
from zs_seg_ros.ros.conversions import (
    classes_from_messages,
    header_of,
    image_message,
    time_message,
    vocabulary_message,
)
from zs_seg_ros.ros.scene_messages import (
    confidence_message,
    label_message,
)
from zs_seg_ros.ros.vision_messages import label_info_message
from zs_seg_ros.types import Frame
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

# encoding -> bytes of an item, and where red, green and blue are among the items of a pixel
LAYOUTS = {
    "rgb8": (1, 3, (0, 1, 2)),
    "bgr8": (1, 3, (2, 1, 0)),
    "rgba8": (1, 4, (0, 1, 2)),
    "bgra8": (1, 4, (2, 1, 0)),
    "mono8": (1, 1, (0, 0, 0)),
    "mono16": (2, 1, (0, 0, 0)),
    "rgb16": (2, 3, (0, 1, 2)),
    "bgr16": (2, 3, (2, 1, 0)),
    "rgba16": (2, 4, (0, 1, 2)),
    "bgra16": (2, 4, (2, 1, 0)),
    "8UC1": (1, 1, (0, 0, 0)),
    "8UC3": (1, 3, (2, 1, 0)),
    "8UC4": (1, 4, (2, 1, 0)),
    "16UC3": (2, 3, (2, 1, 0)),
    "16UC4": (2, 4, (2, 1, 0)),
}
BAYER = ("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8")
# Slow is not wrong: the machine may be busy.
quick = settings(max_examples=50)


@st.composite
def plain_images(draw: st.DrawFn) -> Image:
    """Every plain encoding with random bytes, row padding, byte order and bytes to spare at the end."""
    encoding = draw(st.sampled_from(sorted(LAYOUTS)))
    item, channels, _ = LAYOUTS[encoding]
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    step = width * channels * item + draw(st.integers(0, 7))
    size = height * step + draw(st.integers(0, 9))
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=draw(st.integers(0, 1)),
        data=array("B", draw(st.binary(min_size=size, max_size=size))),
    )


def read_byte_by_byte(message: Image) -> list[list[list[int]]]:
    item, channels, order = LAYOUTS[message.encoding]
    byte_order = "big" if message.is_bigendian else "little"

    def value(row: int, column: int, channel: int) -> int:
        start = row * message.step + (column * channels + channel) * item
        return int.from_bytes(message.data[start : start + item].tobytes(), byte_order)

    return [
        [[value(row, column, channel) for channel in order] for column in range(message.width)]
        for row in range(message.height)
    ]


@quick
@given(plain_images())
def test_a_plain_image_is_read_right_and_where_it_lies(message: Image) -> None:
    image = image_from_message(message)
    assert image.tolist() == read_byte_by_byte(message)
    assert np.shares_memory(image, np.frombuffer(message.data, np.uint8))
    Frame("camera", image)  # and the pipeline takes it


@quick
@given(
    encoding=st.sampled_from(BAYER),
    padding=st.integers(0, 5),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_bayer_images_are_read_with_any_padding(
    encoding: str, padding: int, colour: tuple[int, int, int]
) -> None:
    pattern = encoding.removeprefix("bayer_").removesuffix("8")
    mosaic = np.zeros((6, 8 + padding), np.uint8)
    for place, letter in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 : 8 : 2] = colour["rgb".index(letter)]
    message = image_message(mosaic, encoding, Header())
    message.width = 8
    image = image_from_message(message)
    assert image.shape == (6, 8, 3) and image.dtype == np.uint8
    assert (image[1:-1, 1:-1] == colour).all()


@pytest.mark.parametrize("encoding", ["rgb9", "", "RGB8", "8SC3"])
def test_an_unknown_encoding_is_named_with_those_that_are_read(encoding: str) -> None:
    message = Image(height=2, width=2, encoding=encoding, step=8, data=array("B", bytes(16)))
    with pytest.raises(ImageError, match=f"encoding {encoding!r}.*rgb8, bgr8"):
        image_from_message(message)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_on_a_colour_topic_is_refused_as_such(encoding: str) -> None:
    message = Image(height=2, width=2, encoding=encoding, step=8, data=array("B", bytes(16)))
    with pytest.raises(ImageError, match=f"{encoding}.*depth image on a colour topic"):
        image_from_message(message)


def test_an_encoding_cannot_forge_a_line_of_the_log() -> None:
    message = Image(height=1, width=1, encoding="x\n[ERROR] \x1b[31m" + "y" * 10_000, step=1)
    message.data = array("B", b"0")
    with pytest.raises(ImageError) as raised:
        image_from_message(message)
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 600


# --- back into messages ---

any_image_array = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))
).flatmap(lambda image: st.sampled_from([image, image[::-1], image[..., ::-1], image[:, ::-1]]))


@quick
@given(any_image_array)
def test_an_image_survives_the_way_into_a_message_and_back(image: NDArray[np.uint8]) -> None:
    message = image_message(image, "rgb8", Header(frame_id="optical"))
    assert isinstance(message.data, array) and message.data.typecode == "B"
    assert message.step == 3 * message.width and len(message.data) == message.step * message.height
    assert message.header.frame_id == "optical"
    assert (image_from_message(message) == image).all()


@quick
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(1, 5), st.integers(1, 5))
    )
)
def test_labels_are_mono8_or_mono16_with_their_confidence_beside_them(label: NDArray[Any]) -> None:
    confidence = (label > 0).astype(np.uint8) * 200
    frame = Frame("camera", np.zeros((*label.shape, 3), np.uint8), 1_500_000_000, "optical")
    header = header_of(frame)
    messages = (label_message(label, header), confidence_message(confidence, header))
    for message, pixels in zip(messages, (label, confidence), strict=True):
        assert message.encoding == ("mono8" if pixels.dtype == np.uint8 else "mono16")
        assert isinstance(message.data, array) and message.data.typecode == "B"
        assert not message.is_bigendian and message.step == message.width * pixels.itemsize
        assert (image_from_message(message)[..., 0] == pixels).all()
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 500_000_000)
        assert message.header.frame_id == "optical"


@quick
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 999_999_999))
def test_a_stamp_survives_the_way_through_a_frame(seconds: int, nanoseconds: int) -> None:
    header = Header(frame_id="optical")
    header.stamp.sec, header.stamp.nanosec = seconds, nanoseconds
    image = np.zeros((1, 1, 3), np.uint8)
    frame = Frame("camera", image, stamp_ns(header.stamp), header.frame_id)
    assert header_of(frame) == header
    assert time_message(stamp_ns(header.stamp)) == header.stamp


def test_a_stamp_that_is_no_time_is_refused() -> None:
    header = Header()
    header.stamp.nanosec = 10**9
    with pytest.raises(ImageError, match="1000000000 nanoseconds"):
        stamp_ns(header.stamp)


# --- vocabularies ---

words = st.text("abcdefghij äé", min_size=1, max_size=8).map(lambda text: f"x{text}".strip())
thresholds = st.floats(0, 1, width=32)


@st.composite
def exemplars(draw: st.DrawFn) -> Exemplar:
    height, width = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    image = draw(arrays.arrays(np.uint8, (height, width, 3)))
    mask = draw(st.none() | arrays.arrays(np.bool_, (height, width)))
    if mask is not None:
        mask[:2, :2] = True
    return Exemplar(image, mask)


targets = st.builds(
    TargetClass,
    words,
    st.lists(words, max_size=3).map(tuple),
    thresholds,
    st.lists(exemplars(), max_size=2).map(tuple),
    negatives=st.lists(words.map(lambda word: f"not {word}"), max_size=3).map(tuple),
)


@quick
@given(st.lists(targets, max_size=4, unique_by=lambda t: " ".join(t.name.split())))
def test_a_vocabulary_survives_the_way_into_a_message_and_back(classes: list[TargetClass]) -> None:
    vocabulary = replace(Vocabulary().changed_to(classes), stamp_ns=1_500_000_000)
    message = vocabulary_message(vocabulary)
    assert message.version == 1 and tuple(message.ids) == vocabulary.ids
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 500_000_000)
    back = classes_from_messages(message.classes)
    assert len(back) == len(classes)
    for one, other in zip(back, vocabulary.classes, strict=True):
        assert replace(one, exemplars=()) == replace(other, exemplars=())
        for exemplar, original in zip(one.exemplars, other.exemplars, strict=True):
            assert (exemplar.image == original.image).all()
            assert (exemplar.mask is None) == (original.mask is None)
            assert original.mask is None or (exemplar.mask == original.mask).all()


def test_exemplars_are_copies_that_outlive_their_message() -> None:
    message = vocabulary_message(
        Vocabulary().changed_to([TargetClass("x", (), 0.0, (Exemplar(np.ones((2, 2, 3), "u1")),))])
    )
    [target] = classes_from_messages(message.classes)
    data = np.frombuffer(message.classes[0].exemplars[0].image.data, np.uint8)
    assert not np.shares_memory(target.exemplars[0].image, data)


def test_an_exemplar_of_16_bits_keeps_its_high_bytes() -> None:
    message = vocabulary_message(
        Vocabulary().changed_to([TargetClass("x", (), 0.0, (Exemplar(np.ones((2, 2, 3), "u1")),))])
    )
    grey = np.array([[0x12FF, 0xFE01]] * 2, np.uint16)
    message.classes[0].exemplars[0].image = image_message(grey, "mono16", Header())
    [target] = classes_from_messages(message.classes)
    assert target.exemplars[0].image[0, :, 0].tolist() == [0x12, 0xFE]


def test_an_exemplar_whose_mask_marks_nothing_is_refused() -> None:
    exemplar = Exemplar(np.zeros((2, 2, 3), np.uint8))
    message = vocabulary_message(
        Vocabulary().changed_to([TargetClass("mug", (), 0.0, (exemplar,))])
    )
    message.classes[0].exemplars[0].mask = image_message(
        np.zeros((2, 2), np.uint8), "mono8", Header()
    )
    with pytest.raises(VocabularyError, match=r"exemplar of 'mug' .*mask is empty"):
        classes_from_messages(message.classes)


# --- label_info ---


def test_label_info_lists_ids_and_names_in_force() -> None:
    before = Vocabulary().changed_to([TargetClass("mug"), TargetClass("duck")])
    vocabulary = before.changed_to([TargetClass("ball"), TargetClass("duck")])
    header = Header(frame_id="optical")
    info = label_info_message(vocabulary, header, 0.25)
    names = [
        VisionClass(class_id=3, class_name="ball"),
        VisionClass(class_id=2, class_name="duck"),
    ]
    assert info == LabelInfo(header=header, class_map=names, threshold=0.25)


def test_without_vision_msgs_there_is_no_label_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_messages, "vision", None)
    assert label_info_message(Vocabulary(), Header(), 0.5) is None
