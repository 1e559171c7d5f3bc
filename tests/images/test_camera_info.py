# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Intrinsics of the image that comes with a CameraInfo: binning, region of interest, distortion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_info import COEFFICIENTS, OTHER_NAMES, intrinsics_from_info
from zs_seg_ros.types import Distortion, Intrinsics

K = np.array([500, 0, 310.5, 0, 480, 250, 0, 0, 1.0])
P = np.array([420, 0, 300, -30, 0, 410, 240, 0, 0, 0, 1.0, 0])


def info(**changes: Any) -> SimpleNamespace:
    region = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    fields = {
        "height": 480, "width": 640, "k": K, "p": np.zeros(12), "d": (), "distortion_model": "",
        "binning_x": 0, "binning_y": 0, "roi": region,
    }  # fmt: skip
    return SimpleNamespace(**fields | changes)


def region(x: int, y: int, width: int, height: int) -> SimpleNamespace:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


def test_k_is_read_row_by_row() -> None:
    assert intrinsics_from_info(info()) == Intrinsics(500.0, 480.0, 310.5, 250.0, 640, 480)


def test_a_camera_info_full_of_zeros_is_refused() -> None:
    with pytest.raises(ImageError, match="calibrate the camera"):
        intrinsics_from_info(info(k=[0.0] * 9, height=0, width=0))


def test_k_must_have_nine_values() -> None:
    with pytest.raises(ImageError, match="K of 12"):
        intrinsics_from_info(info(k=[1.0] * 12))
    with pytest.raises(ImageError, match="P of 9"):
        intrinsics_from_info(info(p=[1.0] * 9))


def test_the_identity_is_no_calibration() -> None:
    with pytest.raises(ImageError, match="identity"):
        intrinsics_from_info(info(k=np.eye(3).ravel()))


def test_binning_makes_the_image_smaller() -> None:
    binned = intrinsics_from_info(info(binning_x=2, binning_y=4))
    assert binned == Intrinsics(250.0, 120.0, 155.25, 62.5, 320, 120)
    assert intrinsics_from_info(info(binning_x=1, binning_y=1)) == intrinsics_from_info(info())


def test_a_region_of_interest_is_cut_out_before_it_is_binned() -> None:
    cut = intrinsics_from_info(info(roi=region(100, 50, 400, 300)))
    assert cut == Intrinsics(500.0, 480.0, 210.5, 200.0, 400, 300)
    both = intrinsics_from_info(info(roi=region(100, 50, 400, 300), binning_x=2, binning_y=2))
    assert both == Intrinsics(250.0, 240.0, 105.25, 100.0, 200, 150)


@given(x=st.integers(0, 300), y=st.integers(0, 200), binning=st.integers(1, 4))
def test_a_point_of_the_scene_keeps_its_ray(x: int, y: int, binning: int) -> None:
    whole = intrinsics_from_info(info())
    part = intrinsics_from_info(
        info(roi=region(x, y, 320, 240), binning_x=binning, binning_y=binning)
    )
    column = x + 4 * binning  # of the whole image; in the part it is column 4
    ray = (column - whole.cx) / whole.fx
    assert (4 - part.cx) / part.fx == pytest.approx(ray)


@pytest.mark.parametrize("d", [(), (0.0,) * 5, (0.0,) * 8])
def test_zeros_are_no_distortion(d: tuple[float, ...]) -> None:
    assert intrinsics_from_info(info(d=d, distortion_model="plumb_bob")).distortion is None
    assert intrinsics_from_info(info(d=d, distortion_model="whatever")).distortion is None


@pytest.mark.parametrize(
    "changes", [{"d": ()}, {"d": (0.0,) * 5}, {"k": np.zeros(9), "d": (0.1,) * 5}]
)
def test_a_rectified_image_has_the_projection_of_p(changes: dict[str, Any]) -> None:
    rectified = info(p=P, distortion_model="plumb_bob", **changes)
    assert intrinsics_from_info(rectified) == Intrinsics(420.0, 410.0, 300.0, 240.0, 640, 480)
    rectified.binning_x, rectified.binning_y, rectified.roi = 2, 2, region(100, 40, 400, 300)
    assert intrinsics_from_info(rectified) == Intrinsics(210.0, 205.0, 100.0, 100.0, 200, 150)


def test_p_is_not_that_of_a_distorted_image() -> None:
    distorted = info(p=P, d=(0.1, 0.0, 0.0, 0.0), distortion_model="plumb_bob")
    intrinsics = intrinsics_from_info(distorted)
    assert (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy) == (500, 480, 310.5, 250)
    assert intrinsics.distortion is not None


@pytest.mark.parametrize("p", [np.zeros(12), np.eye(3, 4).ravel(), np.full(12, np.nan)])
def test_a_p_that_is_not_set_is_not_used(p: np.ndarray) -> None:
    assert intrinsics_from_info(info(p=p)) == intrinsics_from_info(info())


@pytest.mark.parametrize("do_rectify", [False, True])
def test_rectifying_a_region_is_for_those_who_rectify(do_rectify: bool) -> None:
    cut = region(100, 50, 400, 300)
    cut.do_rectify = do_rectify
    distorted = info(roi=cut, d=(0.1, 0.0, 0.0, 0.0), distortion_model="plumb_bob")
    intrinsics = intrinsics_from_info(distorted)
    assert (intrinsics.cx, intrinsics.cy, intrinsics.width) == (210.5, 200.0, 400)


@pytest.mark.parametrize(
    ("model", "count"),
    [(model, count) for model, counts in COEFFICIENTS.items() for count in counts],
)
def test_distortion_is_kept(model: str, count: int) -> None:
    d = (0.1, *(0.0,) * (count - 1))
    assert intrinsics_from_info(info(d=d, distortion_model=model)).distortion == Distortion(
        model, d
    )


@pytest.mark.parametrize(
    ("model", "d", "reason"),
    [
        ("division", (0.1,), "'division', which is not known"),
        ("Inverse Brown Conrady", (0.1,) * 5, "'Inverse Brown Conrady', which is not known"),
        ("plumb_bob", (0.1,) * 6, "6 coefficients of plumb_bob"),
        ("fisheye", (0.1,) * 5, "5 coefficients of equidistant"),
        ("", (0.1, 0.0, 0.0, 0.0), "'', which is not known"),
        ("plumb_bob", (0.1,), "1 coefficients of plumb_bob"),
        ("equidistant", (0.1,) * 5, "5 coefficients of equidistant"),
        ("plumb_bob", (np.nan, 0.0, 0.0, 0.0), "not finite"),
    ],
)
def test_distortion_that_cannot_be_undone_is_refused(
    model: str, d: tuple[float, ...], reason: str
) -> None:
    with pytest.raises(ImageError, match=reason):
        intrinsics_from_info(info(d=d, distortion_model=model))


@pytest.mark.parametrize(("name", "model"), OTHER_NAMES.items())
def test_other_names_of_a_model_stand_for_it(name: str, model: str) -> None:
    d = (0.1, 0.02, 0.0, 0.0)
    assert intrinsics_from_info(info(d=d, distortion_model=name)).distortion == Distortion(model, d)
