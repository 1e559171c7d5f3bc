# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Depth in metres, positions and 3-D bounding boxes of detections, and the labelled point cloud."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from small_bags import SHIPPED_BAG

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.perception.depth import (
    check_sizes,
    depth_in_metres,
    depth_of_image_size,
    unit_problem,
)
from zs_seg_ros.perception.labelled_cloud import POINT, cloud
from zs_seg_ros.perception.projection import FEWEST_POINTS, surface_of
from zs_seg_ros.perception.projection import points_of as surface_points_of
from zs_seg_ros.types import Box, DetectedObject, Distortion, Intrinsics, VisibleSurface

CAMERA = Intrinsics(fx=500.0, fy=480.0, cx=310.5, cy=250.0, width=640, height=480)
SIZE = (480, 640)
NEAR_M, FAR_M = 1.0, 1.5


def object_of(mask: np.ndarray, score: float = 0.5, track_id: int = 0) -> DetectedObject:
    """Return a detection. mask: (H, W) bool of the whole image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)
    inside = mask[top : top + box.height, left : left + box.width]
    return DetectedObject(1, score, box, inside, track_id)


def rectangle(left: int, top: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def disc(column: float, row: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(SIZE)
    return (columns - column) ** 2 + (rows - row) ** 2 <= radius**2


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    side = 2 * pixels + 1
    return cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(bool)


def depth_with(mask: np.ndarray, near_m: float = NEAR_M, far_m: float = FAR_M) -> np.ndarray:
    """Return the depth of a flat object that faces the camera, in front of a wall."""
    return np.where(mask, near_m, far_m).astype(np.float32)


def points_of(depth_m: np.ndarray, camera: Intrinsics = CAMERA) -> np.ndarray:
    """Return (H, W, 3) float64, by inverting K."""
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    rows, columns = np.indices(depth_m.shape)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return (pixels @ np.linalg.inv(k).T) * depth_m[..., None].astype(np.float64)


def true_centre(mask: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    return points_of(depth_m)[mask].mean(axis=0)


def true_size(mask: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    return np.ptp(points_of(depth_m)[mask], axis=0)


def centre_of(mask: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    surface = surface_of(object_of(mask), depth_m, CAMERA)
    assert surface is not None
    return np.array(surface.centre)


def size_of_surface(mask: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    surface = surface_of(object_of(mask), depth_m, CAMERA)
    assert surface is not None
    return np.array(surface.size)


def sphere(centre: tuple[float, float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask and the depth of a ball in front of a wall, by intersecting rays with it."""
    rays = points_of(np.ones(SIZE))
    along = (rays @ np.array(centre)) / (rays**2).sum(axis=-1)
    miss2 = ((rays * along[..., None] - centre) ** 2).sum(axis=-1)
    mask = miss2 <= radius**2
    back = np.sqrt(np.where(mask, radius**2 - miss2, 0) / (rays**2).sum(axis=-1))
    return mask, np.where(mask, along - back, FAR_M).astype(np.float32)


class TestIntrinsics:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"fx": 0.0, "fy": 0.0, "cx": 0.0, "cy": 0.0}, "focal lengths of 0 and 0 pixels"),
            ({"fx": -500.0}, "focal lengths of -500 and 480"),
            ({"fy": np.nan}, "focal lengths of 500 and nan"),
            ({"fx": np.inf}, "focal lengths of inf"),
            ({"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0}, "identity matrix"),
            ({"fx": 0.9, "fy": 0.9}, "in pixels"),  # for an image that is 1 wide
            ({"cx": np.nan}, "centre"),
            ({"cy": -np.inf}, "centre"),
            ({"width": 0, "height": 0}, "size of 0x0"),
        ],
    )
    def test_impossible_intrinsics_are_refused(
        self, changes: dict[str, float], reason: str
    ) -> None:
        with pytest.raises(ImageError, match=reason):
            replace(CAMERA, **changes)


class TestDepthInMetres:
    @given(arrays.arrays(np.uint16, (3, 4)))
    def test_millimetres_and_metres_give_the_same(self, millimetres: np.ndarray) -> None:
        metres = (millimetres / 1000).astype(np.float32)
        assert np.array_equal(depth_in_metres(millimetres), depth_in_metres(metres), equal_nan=True)

    def test_millimetres_become_metres_and_zero_is_not_measured(self) -> None:
        depth_m = depth_in_metres(np.array([[0, 1, 1234, 65535]], np.uint16))
        expected = np.array([[np.nan, 0.001, 1.234, 65.535]], np.float32)
        assert depth_m.dtype == np.float32
        assert np.array_equal(depth_m, expected, equal_nan=True)

    @pytest.mark.parametrize("nothing", [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, 3.4e38])
    def test_values_that_are_no_distance_are_not_measured(self, nothing: float) -> None:
        depth_m = depth_in_metres(np.array([[0.5, nothing]], np.float32))
        assert depth_m[0, 0] == 0.5 and np.isnan(depth_m[0, 1])

    @given(arrays.arrays(np.float32, (2, 3)))
    def test_every_result_is_positive_or_nan(self, values: np.ndarray) -> None:
        depth_m = depth_in_metres(values)
        kept = np.isfinite(depth_m)
        assert (depth_m[kept] > 0).all() and np.array_equal(depth_m[kept], values[kept])

    @pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", "<f4"])
    def test_views_and_foreign_byte_order_are_accepted_and_not_changed(self, dtype: str) -> None:
        padded = np.full((4, 7), 7, dtype)
        view = padded[::2, 1:5]
        view.flags.writeable = False
        depth_m = depth_in_metres(view)
        assert np.array_equal(depth_m, np.full((2, 4), 7 if "f" in dtype else 0.007, np.float32))
        assert (padded == 7).all()

    @pytest.mark.parametrize(
        "values", [np.zeros((2, 3), np.uint8), np.zeros((2, 3)), np.zeros((2, 3, 1), np.uint16)]
    )
    def test_other_types_and_shapes_are_refused(self, values: np.ndarray) -> None:
        with pytest.raises(ImageError, match="16UC1 in millimetres or 32FC1 in metres"):
            depth_in_metres(values)


class TestSizes:
    @pytest.mark.parametrize(
        ("image_size", "depth_size", "camera_size", "reason"),
        [
            ((480, 640), (240, 320), (480, 640), "depth image is 320x240, the image 640x480"),
            ((480, 640), (480, 640), (240, 320), "camera_info is for 320x240"),
            ((240, 320), (480, 640), (480, 640), "depth image is 640x480, the image 320x240"),
        ],
    )
    def test_the_error_names_the_input_that_does_not_fit_the_image(
        self,
        image_size: tuple[int, int],
        depth_size: tuple[int, int],
        camera_size: tuple[int, int],
        reason: str,
    ) -> None:
        camera = replace(CAMERA, height=camera_size[0], width=camera_size[1])
        depth_m = np.ones(depth_size, np.float32)
        with pytest.raises(ImageError, match=reason):
            check_sizes(image_size, depth_m, camera)
        image = np.zeros((*image_size, 3), np.uint8)
        nothing = np.zeros(image_size, np.uint8)
        with pytest.raises(ImageError, match=reason):
            cloud(image, nothing, nothing, (), depth_m, camera)

    def test_equal_sizes_are_accepted(self) -> None:
        check_sizes(SIZE, np.ones(SIZE, np.float32), CAMERA)

    def test_an_object_outside_of_the_depth_image_is_refused(self) -> None:
        small = replace(CAMERA, height=100, width=100)
        with pytest.raises(ImageError, match="outside of a depth image of 100x100"):
            surface_of(object_of(rectangle(90, 50, 20, 20)), np.ones((100, 100), np.float32), small)

    def test_depth_that_does_not_fit_camera_info_is_refused(self) -> None:
        with pytest.raises(ImageError, match="320x240"):
            surface_of(object_of(rectangle(9, 9, 20, 20)), np.ones((240, 320), np.float32), CAMERA)


class TestSurface:
    def test_of_a_flat_object_that_faces_the_camera(self) -> None:
        mask = rectangle(left=340, top=200, width=41, height=31)
        depth_m = depth_with(mask, near_m=2.0)
        middle_column, middle_row = 360, 215
        assert centre_of(mask, depth_m) == pytest.approx(
            [(middle_column - 310.5) / 500 * 2, (middle_row - 250) / 480 * 2, 2.0], abs=1e-6
        )
        assert size_of_surface(mask, depth_m) == pytest.approx([40 / 250, 30 / 240, 0], abs=1e-6)

    def test_of_a_slope(self) -> None:
        mask = rectangle(left=100, top=300, width=40, height=50)
        depth_m = (1 + 0.002 * np.indices(SIZE)[1]).astype(np.float32)
        assert centre_of(mask, depth_m) == pytest.approx(true_centre(mask, depth_m), abs=1e-5)
        assert size_of_surface(mask, depth_m) == pytest.approx(true_size(mask, depth_m), rel=0.03)

    @pytest.mark.parametrize("place", [(0.0, 0.0, 1.0), (0.3, -0.2, 0.8), (-0.1, 0.1, 1.3)])
    def test_of_a_ball(self, place: tuple[float, float, float]) -> None:
        mask, depth_m = sphere(place, radius=0.06)
        assert centre_of(mask, depth_m) == pytest.approx(true_centre(mask, depth_m), abs=0.002)
        assert size_of_surface(mask, depth_m) == pytest.approx(
            true_size(mask, depth_m), rel=0.2, abs=0.005
        )

    def test_of_a_box_that_shows_a_small_side_extending_in_depth(self) -> None:
        front, top = rectangle(300, 220, 45, 30), rectangle(300, 205, 45, 15)
        depth_m = depth_with(front)
        rows = np.indices(SIZE)[0]
        depth_m[top] = (NEAR_M + 0.004 * (220 - rows))[top]
        mask = front | top
        assert centre_of(mask, depth_m) == pytest.approx(true_centre(mask, depth_m), abs=0.001)
        assert size_of_surface(mask, depth_m)[2] == pytest.approx(0.06, abs=0.005)

    def test_of_a_narrow_strip_that_extends_far_in_depth(self) -> None:
        mask = rectangle(300, 200, 6, 200)
        depth_m = (1 + 0.005 * (np.indices(SIZE)[0] - 200)).astype(np.float32)
        assert size_of_surface(mask, depth_m)[2] == pytest.approx(1.0, abs=0.02)

    def test_of_an_object_that_fills_a_large_image(self) -> None:
        """Not every pixel is used; the centre is not shifted by that."""
        mask = rectangle(0, 0, 640, 480)
        depth_m = np.ones(SIZE, np.float32)
        assert centre_of(mask, depth_m) == pytest.approx(true_centre(mask, depth_m), abs=0.002)
        assert size_of_surface(mask, depth_m) == pytest.approx(true_size(mask, depth_m), rel=0.03)

    def test_of_a_line_that_is_one_pixel_wide(self) -> None:
        mask = rectangle(310, 100, 1, 200)
        assert centre_of(mask, depth_with(mask)) == pytest.approx(
            true_centre(mask, depth_with(mask)), abs=1e-6
        )

    def test_a_mask_may_be_a_view(self) -> None:
        mask = disc(300, 200, 25)
        depth_m = depth_with(mask)
        detected = object_of(mask)
        view = np.asfortranarray(np.flipud(detected.mask))[::-1]
        assert not view.flags.c_contiguous
        assert surface_of(replace(detected, mask=view), depth_m, CAMERA) == surface_of(
            detected, depth_m, CAMERA
        )


class TestSurfaceUnderBadConditions:
    @pytest.mark.parametrize("pixels", [1, 2, 3])
    @pytest.mark.parametrize("radius", [5, 10, 20, 50, 80])
    @pytest.mark.parametrize("behind_m", [0.5, -0.3])
    def test_a_mask_that_is_too_large_changes_it_little(
        self, pixels: int, radius: int, behind_m: float
    ) -> None:
        mask = disc(400.3, 150.6, radius)
        depth_m = depth_with(mask, far_m=NEAR_M + behind_m)
        too_large = grown(mask, pixels)
        assert centre_of(too_large, depth_m) == pytest.approx(true_centre(mask, depth_m), abs=0.002)
        assert size_of_surface(too_large, depth_m) == pytest.approx(
            true_size(mask, depth_m), rel=0.05, abs=0.005
        )

    def test_depths_mixed_along_the_edge_belong_to_neither(self) -> None:
        mask = disc(250, 300, 30)
        depth_m = cv2.blur(depth_with(mask), (3, 3))
        assert 1.1 < np.median(depth_m[mask ^ grown(mask, 1)]) < 1.5
        too_large = grown(mask, 2)
        assert centre_of(too_large, depth_m) == pytest.approx(
            true_centre(mask, depth_with(mask)), abs=0.01
        )

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_holes_in_the_depth_are_skipped(self, share: float) -> None:
        mask, depth_m = sphere((0.1, 0.1, 0.9), radius=0.07)
        expected = true_centre(mask, depth_m)
        depth_m[np.random.default_rng(0).random(SIZE) < share] = np.nan
        assert centre_of(mask, depth_m) == pytest.approx(expected, abs=0.005)

    def test_a_large_hole_leaves_the_centre_of_the_measured_points(self) -> None:
        mask = rectangle(300, 200, 40, 40)
        depth_m = depth_with(mask)
        depth_m[:, 320:] = np.nan
        assert centre_of(mask, depth_m) == pytest.approx(
            true_centre(rectangle(300, 200, 20, 40), depth_m), abs=1e-5
        )

    def test_noise_moves_the_centre_little(self) -> None:
        mask, depth_m = sphere((0.1, 0.1, 0.9), radius=0.07)
        expected = true_centre(mask, depth_m)
        depth_m += np.random.default_rng(0).normal(0, 0.005, SIZE).astype(np.float32)
        assert centre_of(mask, depth_m) == pytest.approx(expected, abs=0.003)

    def test_without_depth_there_is_no_surface(self) -> None:
        mask = disc(300, 200, 20)
        assert surface_of(object_of(mask), np.full(SIZE, np.nan, np.float32), CAMERA) is None

    def test_an_object_of_glass_has_no_surface_though_its_rim_shows_the_wall(self) -> None:
        mask = disc(300, 200, 20)
        depth_m = depth_with(mask)
        depth_m[mask] = np.nan
        assert surface_of(object_of(grown(mask, 2)), depth_m, CAMERA) is None

    @pytest.mark.parametrize("count", range(1, FEWEST_POINTS + 3))
    def test_a_surface_needs_ten_points(self, count: int) -> None:
        mask = rectangle(300, 200, count, 1)
        surface = surface_of(object_of(mask), depth_with(mask), CAMERA)
        assert (surface is not None) == (count >= FEWEST_POINTS)

    @given(
        mask=arrays.arrays(bool, (12, 15)).filter(np.any),
        values=arrays.arrays(np.float32, (12, 15)),
    )
    def test_for_any_input_the_surface_lies_among_the_points_or_is_none(
        self, mask: np.ndarray, values: np.ndarray
    ) -> None:
        camera = Intrinsics(20.0, 20.0, 7.0, 6.0, width=15, height=12)
        depth_m = depth_in_metres(values)
        surface = surface_of(object_of(mask), depth_m, camera)
        points = points_of(depth_m, camera)[mask & np.isfinite(depth_m)]
        if surface is None:
            return
        assert len(points) >= FEWEST_POINTS
        low, high = points.min(axis=0), points.max(axis=0)
        slack = 1e-9 + 1e-5 * np.abs(points).max(axis=0)
        assert (surface.centre >= low - slack).all() and (surface.centre <= high + slack).all()
        assert (surface.low >= low - slack).all() and (surface.high <= high + slack).all()
        assert (np.array(surface.size) >= 0).all()
        assert surface.low + np.array(surface.size) / 2 == pytest.approx(surface.middle)


def test_on_the_shipped_recording_positions_are_within_a_centimetre_of_the_truth() -> None:
    """With the true masks, grown by 2 pixels over the surroundings of the objects."""
    topics = "/camera/camera_info", "/camera/depth/image_raw", "/camera/ground_truth/instance"
    errors = []
    with Bag(SHIPPED_BAG) as bag:
        moments = zip(*(bag.messages([topic]) for topic in topics), strict=True)
        for moment in islice(moments, 0, None, 24):
            info, depth, instance = (message.content for message in moment)
            camera = intrinsics_from_info(info)
            depth_m = depth_in_metres(depth.data.view("<u2").reshape(depth.height, depth.width))
            instances = instance.data.reshape(instance.height, instance.width)
            for number in np.unique(instances[instances > 0]):
                mask = instances == number
                surface = surface_of(object_of(grown(mask, 2)), depth_m, camera)
                if surface is not None:
                    truth = points_of(depth_m, camera)[mask].mean(axis=0)
                    errors.append(float(np.linalg.norm(surface.centre - truth)))
    assert len(errors) > 90
    assert np.median(errors) < 0.008
    assert np.percentile(errors, 95) < 0.015


def small_camera(height: int, width: int) -> Intrinsics:
    return Intrinsics(10.0, 10.0, 2.0, 1.0, width, height)


def colours(cloud_of_them: np.ndarray) -> list[int]:
    return np.ascontiguousarray(cloud_of_them["rgb"]).view(np.uint32).ravel().tolist()


class TestCloud:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) + 100
    label = np.array([[0, 1, 2], [300, 0, 65534]], np.uint16)
    confidence = np.array([[0, 255, 51], [1, 0, 128]], np.uint8)
    depth_m = np.array([[1, 2, np.nan], [0.5, np.nan, 3]], np.float32)
    camera = small_camera(2, 3)

    def cloud(self, *objects: DetectedObject) -> np.ndarray:
        return cloud(self.image, self.label, self.confidence, objects, self.depth_m, self.camera)

    def test_the_bytes_are_those_of_the_message(self) -> None:
        """Read the way a PointCloud2 is read: by offsets and point_step, without numpy."""
        assert {name: offset for name, (_, offset) in POINT.fields.items()} == {
            "x": 0, "y": 4, "z": 8, "rgb": 12, "label": 16, "track_id": 20, "confidence": 24
        }  # fmt: skip
        points = self.cloud(DetectedObject(9, 0.5, Box(2, 1, 1, 1), np.ones((1, 1), bool), 70000))
        data = array("B")
        data.frombytes(points.view(np.uint8))
        assert len(data) == 2 * 3 * 28
        x, y, z, rgb, label, track_id, confidence = struct.unpack_from(
            "<3fIH2xIf", data, offset=5 * 28
        )
        assert (x, y, z) == pytest.approx(((2 - 2) / 10 * 3, (1 - 1) / 10 * 3, 3))
        assert rgb == 115 << 16 | 116 << 8 | 117
        assert (label, track_id) == (65534, 70000)
        assert confidence == pytest.approx(128 / 255)

    def test_unused_bytes_are_always_the_same(self) -> None:
        data = self.cloud().view(np.uint8).reshape(-1, 28)
        assert not data[:, 18:20].any()

    def test_it_has_one_point_for_each_pixel(self) -> None:
        points = self.cloud()
        assert points.shape == (2, 3) and points.flags.c_contiguous
        assert np.array_equal(points["label"], self.label)
        assert points["confidence"] == pytest.approx(self.confidence / 255)
        assert ((points["confidence"] == 0) == (points["label"] == 0)).all()

    def test_points_have_the_depth_of_their_pixel_or_are_nan(self) -> None:
        points = self.cloud()
        expected = points_of(self.depth_m, self.camera)
        for axis, name in enumerate("xyz"):
            assert points[name] == pytest.approx(expected[..., axis], nan_ok=True)
        assert np.isnan(points["x"][0, 2]) and np.isnan(points["y"][0, 2])

    @pytest.mark.parametrize(
        "as_view",
        [
            lambda rgb: rgb,
            lambda rgb: rgb[..., ::-1].copy()[..., ::-1],  # bgr8
            lambda rgb: np.concatenate([rgb, rgb[..., :1]], axis=2)[..., :3],  # rgba8
            lambda rgb: np.pad(rgb, ((0, 0), (0, 5), (0, 0)))[:, :3],  # padded rows
            lambda rgb: (rgb.astype(np.uint16) << 8 | 255).astype(">u2"),
            lambda rgb: rgb.astype(np.uint16)[::-1][::-1] << 8,
        ],
        ids=["rgb8", "bgr8", "rgba8", "padded", "big endian rgb16", "rgb16"],
    )
    def test_colours_are_packed_as_pcl_does(
        self, as_view: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        view = as_view(self.image)
        view.flags.writeable = False
        points = cloud(view, self.label, self.confidence, (), self.depth_m, self.camera)
        r, g, b = self.image.reshape(-1, 3).astype(int).T
        assert colours(points) == (r << 16 | g << 8 | b).tolist()

    def test_a_grey_image_has_grey_points(self) -> None:
        grey = np.broadcast_to(np.array([[[7], [8], [9]]] * 2, np.uint8), (2, 3, 3))
        points = cloud(grey, self.label, self.confidence, (), self.depth_m, self.camera)
        assert colours(points) == [0x070707, 0x080808, 0x090909] * 2

    def test_where_masks_overlap_the_most_confident_wins(self) -> None:
        row = DetectedObject(1, 0.9, Box(0, 0, 3, 1), np.array([[True, False, True]]), 11)
        everything = DetectedObject(1, 0.4, Box(0, 0, 3, 2), np.ones((2, 3), bool), 22)
        expected = [[11, 22, 11], [22, 22, 22]]
        assert self.cloud(row, everything)["track_id"].tolist() == expected
        assert self.cloud(everything, row)["track_id"].tolist() == expected

    def test_points_without_object_have_track_id_0(self) -> None:
        assert not self.cloud()["track_id"].any()

    def test_inputs_are_not_changed(self) -> None:
        before = self.image.copy(), self.label.copy(), self.depth_m.copy()
        self.cloud(DetectedObject(1, 0.4, Box(0, 0, 3, 2), np.ones((2, 3), bool), 22))
        assert np.array_equal(before[0], self.image) and np.array_equal(before[1], self.label)
        assert np.array_equal(before[2], self.depth_m, equal_nan=True)

    def test_a_label_of_another_size_is_refused(self) -> None:
        with pytest.raises(ValueError, match="differ in size"):
            cloud(self.image, self.label.T, self.confidence, (), self.depth_m, self.camera)

    def test_the_points_of_an_object_surround_its_position(self) -> None:
        mask, depth_m = sphere((0.1, -0.1, 0.9), radius=0.06)
        nothing = np.zeros(SIZE, np.uint8)
        points = cloud(np.zeros((*SIZE, 3), np.uint8), nothing, nothing, (), depth_m, CAMERA)
        of_ball = points[mask]
        mean = [of_ball[name].mean(dtype=float) for name in "xyz"]
        assert centre_of(mask, depth_m) == pytest.approx(mean, abs=0.001)


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("plumb_bob", (-0.28, 0.07, 0.001, -0.002, 0.0)),
        Distortion("plumb_bob", (0.1, -0.2, 0.0, 0.0)),
        Distortion("rational_polynomial", (0.6, -2.4, 0.0006, 0.0001, 1.4, 0.5, -2.2, 1.3)),
        Distortion(
            "rational_polynomial",
            (0.1, -0.05, 0.001, -0.002, 0.01, 0, 0, 0, 0.001, -0.002, 0.003, 0.001),
        ),
        Distortion("rational_polynomial", (0.1, -0.05, 0.001, -0.002, *(0,) * 8, 0.02, 0.01)),
        Distortion("equidistant", (-0.01, 0.02, -0.01, 0.002)),
    ],
    ids=lambda d: f"{d.model}-{len(d.coefficients)}",
)
def test_points_of_a_distorted_image_are_projected_back_onto_their_pixels(
    distortion: Distortion,
) -> None:
    camera = Intrinsics(300.0, 290.0, 158.0, 121.0, 320, 240, distortion)
    depth_m = np.linspace(0.5, 3, 320 * 240, dtype=np.float32).reshape(240, 320)
    black = np.zeros((240, 320, 3), np.uint8)
    empty = np.zeros((240, 320), np.uint8)
    points = cloud(black, empty, empty, (), depth_m, camera)
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    xyz = np.stack([points[axis] for axis in "xyz"], axis=-1).reshape(-1, 1, 3).astype(np.float64)
    project = cv2.fisheye.projectPoints if distortion.model == "equidistant" else cv2.projectPoints
    zero, lens = np.zeros(3), np.array(distortion.coefficients)
    pixels = project(xyz, zero, zero, matrix, lens)[0].reshape(240, 320, 2)
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    assert np.abs(pixels - np.stack([columns, rows], axis=-1)).max() < 0.05


@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
def test_longer_lists_of_coefficients_that_end_in_zeros_are_the_same_lens(count: int) -> None:
    def points(coefficients: tuple[float, ...]) -> np.ndarray:
        lens = Distortion("plumb_bob", coefficients)
        camera = Intrinsics(300.0, 290.0, 31.0, 23.0, 64, 48, lens)
        empty = np.zeros((48, 64), np.uint8)
        return cloud(
            np.zeros((48, 64, 3), np.uint8), empty, empty, (), np.ones((48, 64), np.float32), camera
        )

    short = (-0.2, 0.05, 0.001, -0.002)
    longer = points(short + (0.0,) * (count - 4))
    for axis in "xyz":
        assert np.allclose(longer[axis], points(short)[axis])


def test_pixels_that_the_lens_model_cannot_show_have_no_point() -> None:
    """With k1 = -0.35 alone, no point appears farther than 0.65 focal lengths from the centre."""
    camera = Intrinsics(
        100.0, 100.0, 100.0, 75.0, 200, 150, Distortion("plumb_bob", (-0.35, 0.0, 0.0, 0.0))
    )
    empty, depth_m = np.zeros((150, 200), np.uint8), np.full((150, 200), 2, np.float32)
    points = cloud(np.zeros((150, 200, 3), np.uint8), empty, empty, (), depth_m, camera)
    rows, columns = np.mgrid[:150, :200]
    from_centre = np.hypot(rows - 75, columns - 100) / 100
    farthest = 2 / 3 * (1 / (3 * 0.35)) ** 0.5
    for axis in "xyz":
        assert np.isfinite(points[axis][from_centre < farthest - 0.02]).all()
        assert np.isnan(points[axis][from_centre > farthest + 0.02]).all()

    def surface(left: int) -> VisibleSurface | None:
        detected = DetectedObject(1, 1.0, Box(left, 65, 20, 20), np.ones((20, 20), bool))
        return surface_of(detected, depth_m, camera)

    assert surface(0) is None
    half = surface(25)
    assert half is not None and np.isfinite([half.centre, half.low, half.high]).all()
    beside = DetectedObject(1, 1.0, Box(0, 65, 20, 20), np.ones((20, 20), bool))
    assert surface_points_of(beside, depth_m, camera).shape == (0, 3)
    within = surface_points_of(
        DetectedObject(1, 1.0, Box(25, 65, 20, 20), beside.mask), depth_m, camera
    )
    assert len(within) > FEWEST_POINTS and np.isfinite(within).all()


def test_an_object_in_a_distorted_image_is_where_its_rays_meet_its_depth() -> None:
    distortion = Distortion("plumb_bob", (-0.28, 0.07, 0.0, 0.0))
    camera = Intrinsics(300.0, 300.0, 160.0, 120.0, 320, 240, distortion)
    centre = np.array([[[0.55, 0.35, 1.0]]])  # near the corner, where the lens bends most
    matrix = np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])
    lens = np.array(distortion.coefficients)
    column, row = cv2.projectPoints(centre, np.zeros(3), np.zeros(3), matrix, lens)[0].ravel()
    box = Box(round(column) - 5, round(row) - 5, 11, 11)
    detected = DetectedObject(1, 1.0, box, np.ones((11, 11), bool))
    surface = surface_of(detected, np.ones((240, 320), np.float32), camera)
    assert surface is not None
    assert np.abs(np.array(surface.centre) - centre.ravel()).max() < 0.005


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_registered_depth_of_a_smaller_size_is_repeated(factor: int) -> None:
    small = np.arange(12, dtype=np.float32).reshape(3, 4)
    resized = depth_of_image_size(small, (3 * factor, 4 * factor))
    assert np.array_equal(resized, small.repeat(factor, axis=0).repeat(factor, axis=1))


def test_registered_depth_of_a_larger_size_leaves_pixels_out() -> None:
    large = np.arange(48, dtype=np.float32).reshape(6, 8)
    assert np.array_equal(depth_of_image_size(large, (3, 4)), large[::2, ::2])


def test_depth_of_other_proportions_is_left_alone() -> None:
    depth_m = np.ones((3, 4), np.float32)
    assert depth_of_image_size(depth_m, (6, 9)) is depth_m


@pytest.mark.parametrize(
    ("values", "unit_m"),
    [
        (np.full((40, 60), 889.0, np.float32), 0.001),
        (np.full((40, 60), 8890, np.uint16), 0.0001),
        (np.full((40, 60), 889, np.uint16), 0.0),
    ],
)
def test_depth_in_another_unit_becomes_metres(values: np.ndarray, unit_m: float) -> None:
    assert np.allclose(depth_in_metres(values, unit_m), 0.889)


def test_depth_in_metres_that_is_really_millimetres_is_noticed() -> None:
    in_millimetres = np.full((40, 60), 889.0, np.float32)
    in_millimetres[:, :20] = np.nan
    assert "depth_scale" in unit_problem(depth_in_metres(in_millimetres))
    assert unit_problem(depth_in_metres(in_millimetres, 0.001)) == ""
    assert unit_problem(np.full((4, 4), np.nan, np.float32)) == ""
    outdoors = np.linspace(2, 400, 2400, dtype=np.float32).reshape(40, 60)
    assert unit_problem(outdoors / 2) == ""
