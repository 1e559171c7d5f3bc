# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labelling recordings of video: each image needs the packets before it, also across the borders of slices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bag_messages import START_NS, STEP_NS
from labelled_bags import image, messages, pixels_of, request, small_bag
from video_bags import write_video_bag

from zs_seg_ros.cli.label import label_bags
from zs_seg_ros.labelling.run import label

FRAMES = 40


def video_bag(folder: Path, keyframe_every: int, skipped: int = 0) -> Path:
    """Record the images of `small_bag` as H.264. skipped: packets at the start that were not recorded."""
    images = [image(number) for number in range(FRAMES)]
    return write_video_bag(folder, images, keyframe_every, skipped)


@pytest.mark.parametrize("keyframe_every", [5, 33])
def test_every_image_of_a_video_is_labelled(tmp_path: Path, keyframe_every: int) -> None:
    label(request(tmp_path / "video", video_bag(tmp_path / "bag", keyframe_every)))
    label(request(tmp_path / "raw", small_bag(tmp_path / "raw_bag", FRAMES)))
    labels = messages(tmp_path / "video", "/zs_seg/camera/label")
    expected = messages(tmp_path / "raw", "/zs_seg/camera/label")
    assert len(labels) == FRAMES
    for ours, raw in zip(labels, expected, strict=True):
        assert ours.header.stamp == raw.header.stamp
        assert (pixels_of(ours) == pixels_of(raw)).mean() > 0.98


def test_packets_before_the_first_keyframe_are_skipped_and_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = video_bag(tmp_path / "bag", 16, skipped=3)
    assert label_bags(request(tmp_path / "out", bag), None) == 0
    stamps = [m.header.stamp for m in messages(tmp_path / "out", "/zs_seg/camera/label")]
    times = [stamp.sec * 10**9 + stamp.nanosec for stamp in stamps]
    assert times == [START_NS + number * STEP_NS for number in range(16, FRAMES)]
    assert "/camera/image_raw/compressed: a packet of a video stream" in capfd.readouterr().err


def test_without_pyav_the_exit_code_is_1_and_the_reason_names_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = video_bag(tmp_path / "bag", 5)
    monkeypatch.setitem(sys.modules, "av", None)
    assert label_bags(request(tmp_path / "out", bag), None) == 1
    error = capfd.readouterr().err
    assert f"none of the {FRAMES} images of /camera/image_raw/compressed" in error
    assert "PyAV, which decodes it, is not installed" in error
