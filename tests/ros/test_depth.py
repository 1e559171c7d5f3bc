# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Depth in, metres out: positions, the labelled cloud as Nav2 reads it, and markers."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from numpy.typing import NDArray
from planner import Planner, image_message, pixels, running_node, stamp, stripes, wait_until
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

HEIGHT, WIDTH, FOCAL_PX = 24, 48, 50.0
IMAGE = stripes("red", "white", "blue", height=HEIGHT, width=16)


@pytest.fixture
def planner() -> Iterator[Planner]:
    parameters = {"camera.depth": True, "classes": ["red", "blue"], "max_image_side": 100}
    with running_node(parameters) as planner:
        yield planner


def depth_image(depth: NDArray[Any], of: Image) -> Image:
    encoding = "16UC1" if depth.dtype == np.uint16 else "32FC1"
    height, width = depth.shape
    message = Image(height=height, width=width, encoding=encoding, step=depth.itemsize * width)
    message.data = array("B", depth.tobytes())
    message.header = of.header
    return message


def camera_info(focal_px: float = FOCAL_PX) -> CameraInfo:
    k = [focal_px, 0.0, WIDTH / 2, 0.0, focal_px, HEIGHT / 2, 0.0, 0.0, 1.0]
    return CameraInfo(height=HEIGHT, width=WIDTH, k=k if focal_px else [0.0] * 9)


def wall(metres: float = 2.0) -> NDArray[np.float32]:
    return np.full((HEIGHT, WIDTH), metres, np.float32)


def answer(planner: Planner, depth: NDArray[Any], output: str = "objects") -> Any:
    """The output for IMAGE with this depth, which comes first."""
    message = image_message(IMAGE)
    received = planner.outputs(output)
    planner.send_depth(depth_image(depth, message), camera_info())
    planner.send(message)
    return planner.output_with_stamp_of(message, received)


@pytest.mark.parametrize(
    "depth", [wall(), np.full((HEIGHT, WIDTH), 2000, np.uint16)], ids=["metres", "millimetres"]
)
def test_objects_have_positions_in_metres(planner: Planner, depth: NDArray[Any]) -> None:
    answer(planner, depth)  # the camera_info may come after the first depth image
    things = {o.class_name: o for o in answer(planner, depth).objects}
    assert set(things) == {"red", "blue"}
    for name, side in (("red", -1), ("blue", 1)):
        thing = things[name]
        assert thing.has_position
        assert thing.position.x == pytest.approx(side * 16 / FOCAL_PX * 2.0, abs=0.05)
        assert thing.position.y == pytest.approx(0.0, abs=0.05)
        assert thing.position.z == pytest.approx(2.0, abs=0.01)
        assert thing.size.x == pytest.approx(16 / FOCAL_PX * 2.0, abs=0.12)


def test_depth_that_comes_after_its_image_is_waited_for(planner: Planner) -> None:
    objects = planner.outputs("objects")
    answer(planner, wall())
    message = image_message(IMAGE)
    planner.send(message)
    planner.send_depth(depth_image(wall(), message), camera_info())
    found = planner.output_with_stamp_of(message, objects)
    assert all(thing.has_position for thing in found.objects)


def structured(cloud: PointCloud2) -> NDArray[Any]:
    """(H, W) with the cloud's own fields."""
    kinds = {7: "<f4", 6: "<u4", 4: "<u2"}
    assert not cloud.is_bigendian and cloud.row_step == cloud.point_step * cloud.width
    item = np.dtype(
        {
            "names": [f.name for f in cloud.fields],
            "formats": [kinds[f.datatype] for f in cloud.fields],
            "offsets": [f.offset for f in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    return np.frombuffer(cloud.data, item).reshape(cloud.height, cloud.width)


def test_the_cloud_is_what_a_semantic_costmap_layer_reads(planner: Planner) -> None:
    """By the rules of Nav2's semantic_segmentation_layer: docs/planners.md."""
    depth = wall()
    depth[:, :8] = np.nan
    depth[5] = 0
    for output in ("label", "confidence", "objects"):
        planner.outputs(output)
    answer(planner, depth, "points")
    cloud_message = answer(planner, depth, "points")
    label_message, confidence_message, objects = (
        planner.output_with_stamp_of(cloud_message, planner.outputs(output))
        for output in ("label", "confidence", "objects")
    )
    assert label_message.encoding == confidence_message.encoding == "mono8"
    assert label_message.step == label_message.width
    label, confidence = pixels(label_message), pixels(confidence_message)
    cloud = structured(cloud_message)
    assert list(cloud.dtype.names) == ["x", "y", "z", "rgb", "label", "track_id", "confidence"]
    assert cloud.shape == label.shape
    assert (cloud["label"] == label).all()
    assert set(np.unique(label)) <= {0, *planner.ids().values()}
    assert ((confidence == 0) == (label == 0)).all()
    assert (np.abs(cloud["confidence"] - confidence / 255.0) < 0.01).all()

    nothing = ~np.isfinite(depth) | (depth == 0)
    assert (np.isnan(cloud["z"]) == nothing).all()
    rows, columns = np.nonzero(~nothing)
    x = (columns - WIDTH / 2) / FOCAL_PX * 2.0
    assert np.allclose(cloud["x"][rows, columns], x, atol=1e-5)
    assert np.allclose(cloud["y"][rows, columns], (rows - HEIGHT / 2) / FOCAL_PX * 2.0, atol=1e-5)
    colours = cloud["rgb"].copy().view(np.uint32)
    assert colours[10, 0] == (220 << 16) + (30 << 8) + 30
    for thing in objects.objects:
        assert set(cloud["track_id"][label == thing.class_id]) == {thing.track_id}


@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_a_smaller_output_is_one_cloud_and_label_with_objects_of_the_image(
    planner: Planner, scale: float
) -> None:
    """The scale changes while the node runs; stamps and frames stay those of the image."""
    for output in ("label", "confidence", "objects", "instances", "mask"):
        planner.outputs(output)
    answer(planner, wall(), "points")
    whole = planner.outputs("objects")[-1]
    assert planner.set_parameters({"output_scale": scale}).successful
    size = round(HEIGHT * scale), round(WIDTH * scale)
    wait_until(
        lambda: answer(planner, wall(), "points").height == size[0], "a cloud of the new size"
    )
    cloud = answer(planner, wall(), "points")
    label, confidence, objects, instances, mask = (
        planner.output_with_stamp_of(cloud, planner.outputs(output))
        for output in ("label", "confidence", "objects", "instances", "mask")
    )
    assert (cloud.height, cloud.width) == size
    assert cloud.header == label.header == confidence.header == objects.header
    for image in (label, confidence, instances, mask):
        assert (image.height, image.width) == size
        assert image.step * image.height == len(image.data)
    points = structured(cloud)
    assert (points["label"] == pixels(label)).all() and pixels(label).any()
    assert ((pixels(confidence) == 0) == (pixels(label) == 0)).all()
    assert ((pixels(mask) > 0) == (pixels(label) > 0)).all()
    assert (pixels(instances) >> 16 == pixels(label)).all()
    assert (objects.height, objects.width) == (HEIGHT, WIDTH)
    for smaller, larger in zip(objects.objects, whole.objects, strict=True):
        assert (smaller.roi, smaller.area, smaller.counts) == (
            larger.roi, larger.area, larger.counts,
        )  # fmt: skip
        assert smaller.position == larger.position
        assert set(points["track_id"][pixels(label) == smaller.class_id]) == {smaller.track_id}
    rows = ((2 * np.arange(size[0]) + 1) * HEIGHT) // (2 * size[0])
    assert np.allclose(points["y"][:, 0], (rows - HEIGHT / 2) / FOCAL_PX * 2.0, atol=1e-5)


def test_an_output_scale_of_nothing_is_refused(planner: Planner) -> None:
    for scale in (0.0, -0.5, 1.5):
        assert not planner.set_parameters({"output_scale": scale}).successful
    assert planner.parameter("output_scale") == 1.0


def test_nav2s_configuration_names_what_the_node_publishes(planner: Planner) -> None:
    file = Path(get_package_share_directory("zs_seg_ros")) / "config" / "nav2_semantic_layer.yaml"
    costmap = yaml.safe_load(file.read_text())["local_costmap"]["local_costmap"]["ros__parameters"]
    layer = costmap["semantic_segmentation_layer"]
    source = layer[layer["observation_sources"]]
    published = dict(planner.node.get_topic_names_and_types())
    for parameter, kind in (
        ("segmentation_topic", "Image"),
        ("confidence_topic", "Image"),
        ("pointcloud_topic", "PointCloud2"),
    ):
        assert published[source[parameter]] == [f"sensor_msgs/msg/{kind}"]
    assert published[source["labels_topic"]] == ["vision_msgs/msg/LabelInfo"]
    assert layer["use_approximate_time_sync"] is False, "stamps are equal"
    for name in source["class_types"]:
        assert source[name]["classes"]


def test_markers_show_boxes_and_names_and_remove_the_old_ones(planner: Planner) -> None:
    answer(planner, wall(), "markers")
    markers = answer(planner, wall(), "markers").markers
    assert [m.action for m in markers] == [3, 0, 0, 0, 0]
    assert {m.ns for m in markers[1:]} == {"boxes", "names"}
    assert len({(m.ns, m.id) for m in markers}) == len(markers)
    names = [m.text for m in markers if m.ns == "names"]
    assert sorted(name.split()[0] for name in names) == ["blue", "red"]
    box = next(m for m in markers if m.ns == "boxes")
    assert box.pose.position.z == pytest.approx(2.0, abs=0.01)
    assert box.color.a > 0 and box.scale.x > 0 and box.pose.orientation.w == 1.0


def test_the_last_image_before_a_pause_is_answered_without_its_depth(planner: Planner) -> None:
    answer(planner, wall())
    message = image_message(IMAGE)
    stamp(message, time.time_ns() + 10**9)
    objects = planner.outputs("objects")
    planner.send(message)
    found = planner.output_with_stamp_of(message, objects).objects
    assert len(found) == 2
    assert not any(thing.has_position for thing in found)


@pytest.mark.parametrize(
    ("depth", "info", "words"),
    [
        (wall()[::2, :-6].copy(), camera_info(), f"{wall().shape[1] - 6}x"),
        (wall(), camera_info(0), "camera_info"),
        (wall().astype(np.float64), camera_info(), "encoding"),
        (np.full((HEIGHT, 101), 2.0, np.float32), camera_info(), "at most 100 (max_image_side)"),
    ],
    ids=["other proportions", "not calibrated", "unknown encoding", "beyond max_image_side"],
)
def test_bad_depth_is_named_and_masks_go_on(
    planner: Planner, depth: NDArray[Any], info: CameraInfo, words: str
) -> None:
    objects = planner.outputs("objects")

    def show() -> list[Any]:
        message = image_message(IMAGE)
        deep = depth_image(depth.astype(np.float32), message)
        if depth.dtype == np.float64:
            deep.encoding = "64FC1"
        planner.send_depth(deep, info)
        planner.send(message)
        return list(planner.output_with_stamp_of(message, objects).objects)

    def without_positions() -> list[Any]:
        # Again and again: an image may be segmented before the depth image that was published ahead of it is read.
        objects_shown = show()
        assert len(objects_shown) == 2
        return [] if any(shown.has_position for shown in objects_shown) else objects_shown

    wait_until(without_positions, "objects without positions")

    def named() -> bool:
        show()
        arrays = planner.listen("/diagnostics", None, None)
        newest = [s for s in arrays[-1].status if s.name.endswith(": camera")] if arrays else []
        return any(words in status.message for status in newest)

    wait_until(named, f"diagnostics with {words!r}")


def test_depth_of_other_stamps_is_named_and_masks_go_on(planner: Planner) -> None:
    objects = planner.outputs("objects")

    def named() -> bool:
        message = image_message(IMAGE)
        late = depth_image(wall(), message)
        planner.send(message)
        stamp(late, message.header.stamp.sec * 10**9 - 10**9)
        planner.send_depth(late, camera_info())
        arrays = planner.listen("/diagnostics", None, None)
        newest = [s for s in arrays[-1].status if s.name.endswith(": camera")] if arrays else []
        return any("stamps" in status.message for status in newest)

    wait_until(named, "diagnostics about stamps")
    wait_until(lambda: objects, "objects without depth")
    assert not any(thing.has_position for m in objects for thing in m.objects)


def test_depth_at_half_the_size_gives_positions(planner: Planner) -> None:
    objects = planner.outputs("objects")

    def detected() -> list[Any]:
        message = image_message(IMAGE)
        planner.send_depth(depth_image(wall()[::2, ::2].copy(), message), camera_info())
        planner.send(message)
        return list(planner.output_with_stamp_of(message, objects).objects)

    positions = wait_until(lambda: [o.position for o in detected() if o.has_position], "positions")
    assert all(position.z == pytest.approx(2.0, abs=0.01) for position in positions)
