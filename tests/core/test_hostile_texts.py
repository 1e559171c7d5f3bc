# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Whatever text comes from outside, each message about it is one bounded, printable line."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.cli.argument_types import (
    count,
    input_size,
    positive,
    share,
    size,
    target_class,
    whole,
)
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.images.compressed_images import depth_from_compressed, image_from_compressed
from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.images.message_images import depth_from_image, image_from_message
from zs_seg_ros.replay.golden import Golden
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.user_yaml import parse_user_yaml
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import parse_vocabulary, read_vocabulary_file

LONGEST = 4000
PIECES = (
    "\x1b[31m", "\x1b]0;title\x07", "\n[ERROR] [zs_seg]: forged", "\r", "\u202e", "\u2066", "\u2028",
    "\u2029", "\x85", "\x00", "\ud800", "\u200b", "mug", "rgb8", ": ", "- ", "{", "[", "'", '"', "!!int ",
    "&a ", "*a", "%s", "../", "~nobody/", "9" * 400,
)  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=10), max_size=8).map("".join)
FIVE_MEGABYTES = ["\x1b]0;x\x07\n" * 700_000, "9" * 5_000_000, "\u202e" * 5_000_000]


def _image(encoding: str) -> SimpleNamespace:
    header = SimpleNamespace(frame_id=encoding, stamp=SimpleNamespace(sec=0, nanosec=0))
    return SimpleNamespace(
        header=header, height=2, width=2, step=6, encoding=encoding, is_bigendian=0, data=b"\0" * 12
    )


def _compressed(form: str) -> SimpleNamespace:
    header = SimpleNamespace(frame_id=form, stamp=SimpleNamespace(sec=0, nanosec=0))
    return SimpleNamespace(header=header, format=form, data=np.frombuffer(b"no image", np.uint8))


def read_vocabulary(text: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # which its callers handle
        read_vocabulary_file(text)


ERRORS = (ZeroShotSegmentationError, argparse.ArgumentTypeError)
INPUTS: dict[str, Callable[[str], object]] = {
    "an encoding": lambda text: image_from_message(_image(text)),
    "an encoding of depth": lambda text: depth_from_image(_image(text)),
    "a format": lambda text: image_from_compressed(_compressed(text)),
    "a format of depth": lambda text: depth_from_compressed(_compressed(text)),
    "a class": lambda text: Vocabulary().changed_to([TargetClass(text), TargetClass(text)]),
    "a prompt": lambda text: Vocabulary().changed_to([TargetClass("mug", (text, text))]),
    "a name in YAML": lambda text: parse_user_yaml(f"{text}: mug"),
    "a value in YAML": lambda text: parse_user_yaml(f"mug: {text}"),
    "a document": lambda text: parse_vocabulary(text, "vocabulary.yaml"),
    "a key of a vocabulary": lambda text: parse_vocabulary(f'"{text}": 1', "vocabulary.yaml"),
    "a threshold": lambda text: parse_vocabulary(
        f"classes: [{{name: mug, threshold: {text}}}]", "v.yaml"
    ),
    "the place of a vocabulary": lambda text: parse_vocabulary("- ][", text),
    "a vocabulary file": read_vocabulary,
    "a golden file": lambda text: Golden(Path(text)),
    "an image file": lambda text: read_image(Path(text)),
    "a recording": lambda text: Bag(Path(text)),
    "a model": load_segmenter,
    "an argument that is a class": target_class,
    "an argument that is a share": share,
    "an argument that is positive": positive,
    "an argument that is whole": whole,
    "an argument that is a count": count,
    "an argument that is a size": size,
    "an argument that is an input size": input_size,
}  # fmt: skip


def check(take: Callable[[str], object], text: str) -> None:
    try:
        take(text)
    except ERRORS as error:
        message = str(error)
        assert message.isprintable()
        assert 0 < len(message) <= LONGEST


@pytest.mark.parametrize("what", INPUTS)
@settings(max_examples=30, deadline=None)
@given(text=hostile)
def test_a_message_about_hostile_text_is_one_printable_line(what: str, text: str) -> None:
    check(INPUTS[what], text)


@pytest.mark.parametrize("what", INPUTS)
@pytest.mark.parametrize("text", FIVE_MEGABYTES, ids=["escapes", "digits", "turned text"])
def test_a_message_about_five_megabytes_is_one_bounded_line(what: str, text: str) -> None:
    check(INPUTS[what], text)
