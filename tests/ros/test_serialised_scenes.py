# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scenes that are serialised directly equal what rclpy reads from them, and what it serialises from their messages."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from zs_seg_ros import TargetClass, Vocabulary
from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.ros.cdr import CdrWriter
from zs_seg_ros.ros.conversions import image_message
from zs_seg_ros.ros.scene_messages import objects_message
from zs_seg_ros.ros.serialised_scenes import serialised_image, serialised_objects
from zs_seg_ros.types import Box, DetectedObject, VisibleSurface

STAMPS = st.builds(
    Time,
    sec=st.integers(-(2**31), 2**31 - 1),
    nanosec=st.integers(0, 999_999_999),
)
TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
HEADERS = st.builds(Header, stamp=STAMPS, frame_id=TEXTS)
# Measured depths are finite, so that sums and differences of a surface's corners are never NaN, which equals nothing.
METRES = st.tuples(*[st.floats(-1e6, 1e6)] * 3)
SURFACES = st.builds(VisibleSurface, centre=METRES, low=METRES, high=METRES)
NAMES = ("mug", "a red mug", "чашка", "x" * 37)
VOCABULARY = Vocabulary().changed_to([TargetClass(name) for name in NAMES])


@st.composite
def detected_objects(draw: st.DrawFn) -> DetectedObject:
    mask = draw(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    height, width = mask.shape
    return DetectedObject(
        class_id=draw(st.sampled_from(VOCABULARY.ids)),
        score=draw(st.floats(0, 1, width=32)),
        box=Box(draw(st.integers(0, 5000)), draw(st.integers(0, 5000)), width, height),
        mask=mask,
        track_id=draw(st.integers(0, 2**32 - 1)),
        surface=draw(st.none() | SURFACES),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(detected_objects(), max_size=6), HEADERS, STAMPS)
def test_objects_have_the_fields_of_their_message(
    objects: list[DetectedObject], header: Header, inferred: Time
) -> None:
    serialised = serialised_objects(objects, (480, 640), VOCABULARY, header, inferred)
    expected = objects_message(objects, (480, 640), VOCABULARY, header, inferred)
    received = deserialize_message(serialised, ObjectMaskArray)
    assert received == deserialize_message(serialize_message(expected), ObjectMaskArray)
    assert len(serialised) == len(serialize_message(expected))


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(*[st.integers(1, 9)] * 2)),
    HEADERS,
    st.booleans(),
)
def test_an_image_has_the_fields_of_its_message(
    pixels: np.ndarray[Any, Any], header: Header, transposed: bool
) -> None:
    pixels = pixels.T if transposed else pixels
    encoding = "mono8" if pixels.dtype == np.uint8 else "mono16"
    serialised = serialised_image(pixels, encoding, header)
    expected = image_message(pixels, encoding, header)
    assert deserialize_message(serialised, Image) == expected
    assert len(serialised) == len(serialize_message(expected))


@pytest.mark.parametrize("place", range(8))
def test_numbers_are_aligned_to_their_size_from_any_place(place: int) -> None:
    writer = CdrWriter()
    writer.values("B" * place, *range(place))
    writer.values("d", 0.5)
    written = writer.finished()[4:]
    assert len(written) == (8 if place == 0 else 16)
    assert np.frombuffer(written[-8:], "<f8") == 0.5
