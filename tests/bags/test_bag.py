# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reading bags, and the content of the shipped bag."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.bags.bag import (
    Bag,
    ground_truth_labels,
    offered_qos,
)
from zs_seg_ros.errors import BagError
from zs_seg_ros.testing.bags import write_recording

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recordings" / "tabletop"
IMAGES = {
    "/camera/image_raw": ("rgb8", 3),
    "/camera/depth/image_raw": ("16UC1", 2),
    "/camera/ground_truth/label": ("mono8", 1),
    "/camera/ground_truth/instance": ("mono8", 1),
}
MOVING = {*IMAGES, "/camera/camera_info", "/tf"}
LATCHED = {"/tf_static", "/camera/ground_truth/label_info"}


@pytest.fixture(scope="module")
def bag() -> Iterator[Bag]:
    with Bag(FOLDER) as opened:
        yield opened


@pytest.fixture(scope="module")
def ground_truth() -> Any:
    return json.loads((FOLDER / "ground_truth.json").read_text())


@pytest.fixture(scope="module")
def instances(bag: Bag) -> NDArray[np.uint8]:
    """Shape (frames, H, W)."""
    return _pixels(bag, "/camera/ground_truth/instance")


@pytest.fixture(scope="module")
def labels(bag: Bag) -> NDArray[np.uint8]:
    """Shape (frames, H, W)."""
    return _pixels(bag, "/camera/ground_truth/label")


def _pixels(bag: Bag, topic: str) -> NDArray[np.uint8]:
    return np.stack([m.content.data.reshape(240, 320) for m in bag.messages([topic])])


# --- the shipped bag ---


def test_it_lasts_at_least_20_seconds_and_is_no_larger_than_20_megabytes(bag: Bag) -> None:
    assert bag.duration_ns >= 20e9
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 20e6


def test_the_shipped_bag_has_all_topics_and_latches_only_the_static_ones(bag: Bag) -> None:
    assert set(bag.topics) == MOVING | LATCHED
    assert {name for name, topic in bag.topics.items() if topic.latched} == LATCHED
    types = {name: topic.message_type for name, topic in bag.topics.items()}
    assert all(types[name] == "sensor_msgs/msg/Image" for name in IMAGES)
    assert types["/camera/camera_info"] == "sensor_msgs/msg/CameraInfo"
    assert types["/camera/ground_truth/label_info"] == "vision_msgs/msg/LabelInfo"


@pytest.mark.parametrize("topic", sorted(MOVING))
def test_every_moving_topic_has_exactly_10_hz(bag: Bag, topic: str) -> None:
    times = np.array([message.time_ns for message in bag.messages([topic])])
    assert len(times) >= 200
    assert set(np.diff(times)) == {10**8}


@pytest.mark.parametrize("topic", sorted({*IMAGES, "/camera/camera_info"}))
def test_headers_carry_the_time_of_the_frame_and_the_optical_frame(bag: Bag, topic: str) -> None:
    for message in bag.messages([topic]):
        header = message.content.header
        assert header.stamp.sec * 10**9 + header.stamp.nanosec == message.time_ns
        assert header.frame_id == "camera_color_optical_frame"


@pytest.mark.parametrize("topic", sorted(IMAGES))
def test_images_have_320_by_240_pixels_without_padding(bag: Bag, topic: str) -> None:
    encoding, bytes_per_pixel = IMAGES[topic]
    for message in bag.messages([topic]):
        image = message.content
        assert (image.width, image.height, image.encoding) == (320, 240, encoding)
        assert image.step == 320 * bytes_per_pixel
        assert image.data.size == 240 * image.step
        assert image.is_bigendian == 0


def test_each_instance_has_the_label_of_the_ground_truth_file(
    labels: NDArray[np.uint8], instances: NDArray[np.uint8], ground_truth: Any
) -> None:
    label_of_instance = np.zeros(256, np.uint8)
    for scene in ground_truth["scenes"]:
        for thing in scene["things"]:
            label_of_instance[thing["instance"]] = thing["label"]
    assert np.array_equal(labels, label_of_instance[instances])


def test_instance_numbers_are_never_shared_between_scenes(
    instances: NDArray[np.uint8], ground_truth: Any
) -> None:
    scenes = ground_truth["scenes"]
    numbers = [thing["instance"] for scene in scenes for thing in scene["things"]]
    assert len(numbers) == len(set(numbers))
    assert scenes[-1]["last_frame"] == len(instances) - 1
    for scene in scenes:
        visible = set(np.unique(instances[scene["first_frame"] : scene["last_frame"] + 1])) - {0}
        assert visible == {thing["instance"] for thing in scene["things"]}


def test_label_info_has_the_names_of_the_ground_truth_file(bag: Bag) -> None:
    (message,) = bag.messages(["/camera/ground_truth/label_info"])
    named = {entry.class_id: entry.class_name for entry in message.content.class_map}
    assert named == {label.id: label.name for label in ground_truth_labels(FOLDER)}


def test_every_pair_that_is_held_out_from_training_is_visible(labels: NDArray[np.uint8]) -> None:
    names = runpy.run_path(str(ROOT / "training" / "names.py"))
    held_out = {f"{colour} {kind}" for colour, kind in names["HELD_OUT_PAIRS"]}
    marked = {label.name: label.id for label in ground_truth_labels(FOLDER) if label.held_out}
    assert set(marked) == held_out
    for name, number in marked.items():
        frames_with_it = ((labels == number).sum(axis=(1, 2)) >= 150).sum()
        assert frames_with_it >= 15, name
    assert np.isin(labels[labels > 0], list(marked.values())).mean() > 0.7


def test_objects_are_hidden_for_about_a_second_and_visible_again(
    instances: NDArray[np.uint8],
) -> None:
    gaps = []
    for number in set(np.unique(instances)) - {0}:
        visible_in = np.flatnonzero((instances == number).any(axis=(1, 2)))
        gaps += [gap - 1 for gap in np.diff(visible_in) if gap > 1]
    assert sum(5 <= gap <= 15 for gap in gaps) >= 1
    assert sum(gap >= 10 for gap in gaps) >= 2


def test_the_metadata_have_a_version_that_humble_reads() -> None:
    text = (FOLDER / "metadata.yaml").read_text()
    assert "version: 8" in text
    assert "storage_identifier: mcap" in text


# --- reading ---


def test_reading_twice_gives_the_same_messages(bag: Bag) -> None:
    first = [(m.topic.name, m.time_ns, hash(m.serialised)) for m in bag.messages()]
    second = [(m.topic.name, m.time_ns, hash(m.serialised)) for m in bag.messages()]
    assert first == second
    assert len(first) == sum(topic.message_count for topic in bag.topics.values())


def test_messages_are_ordered_by_time_and_only_of_the_chosen_topics(bag: Bag) -> None:
    chosen = ["/camera/image_raw", "/camera/camera_info"]
    messages = [(m.time_ns, m.topic.name) for m in bag.messages(chosen)]
    assert [time for time, _ in messages] == sorted(time for time, _ in messages)
    assert {name for _, name in messages} == set(chosen)
    assert list(bag.messages([])) == []


def test_reading_can_start_in_the_middle(bag: Bag) -> None:
    middle = bag.start_ns + bag.duration_ns // 2
    times = [m.time_ns for m in bag.messages(["/camera/camera_info"], start_ns=middle)]
    assert middle <= times[0] < middle + 10**8
    assert times[-1] == bag.start_ns + bag.duration_ns


def test_memory_does_not_grow_with_the_recording(bag: Bag) -> None:
    tracemalloc.start()
    total = sum(len(message.serialised) for message in bag.messages())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 100e6
    assert peak < 20e6


@pytest.mark.parametrize(
    ("offered", "latched", "reliable", "depth"),
    [
        ([], False, True, 10),
        ([offered_qos(depth=3)], False, True, 3),
        ([offered_qos(reliable=False)], False, False, 10),
        ([offered_qos(latched=True, depth=1)] * 3, True, True, 3),
        ([offered_qos(latched=True)] * 12, True, True, 12),
        ([offered_qos(reliable=False), offered_qos(latched=True)], False, True, 10),
    ],
    ids=["nothing", "depth", "best effort", "latched by three", "latched by twelve", "a mixture"],
)
def test_a_topic_has_a_qos_that_matches_the_subscribers_of_all_its_publishers(
    tmp_path: Path, offered: list[Any], latched: bool, reliable: bool, depth: int
) -> None:
    write_recording(tmp_path / "bag", [(1, "/topic", "text")], {"/topic": offered})
    with Bag(tmp_path / "bag") as bag:
        topic = bag.topics["/topic"]
    assert (topic.latched, topic.reliable, topic.depth) == (latched, reliable, depth)


def test_a_missing_topic_is_reported_with_the_topics_of_the_bag(bag: Bag) -> None:
    with pytest.raises(BagError, match=r"no topic /nope; it has .*/camera/image_raw"):
        bag.messages(["/camera/image_raw", "/nope"])


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"has no metadata\.yaml"):
        Bag(tmp_path)
    with pytest.raises(BagError, match=r"has no ground_truth\.json"):
        ground_truth_labels(tmp_path)


def test_a_truncated_file_is_read_up_to_the_cut_with_a_warning(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "metadata.yaml", tmp_path)
    whole = (FOLDER / "tabletop.mcap").read_bytes()
    (tmp_path / "tabletop.mcap").write_bytes(whole[: len(whole) // 2])
    with Bag(FOLDER) as complete, Bag(tmp_path) as bag:
        (warning,) = bag.warnings
        assert f"of {len(whole) // 2} bytes" in warning
        read = [(m.topic.name, m.time_ns, m.serialised) for m in bag.messages()]
        expected = [(m.topic.name, m.time_ns, m.serialised) for m in complete.messages()]
        assert 100 < len(read) < len(expected)
        assert read == expected[: len(read)]
        assert sum(topic.message_count for topic in bag.topics.values()) == len(read)


def test_a_damaged_chunk_is_left_out_with_a_warning_that_says_how_much_is_lost(
    tmp_path: Path,
) -> None:
    shutil.copy(FOLDER / "metadata.yaml", tmp_path)
    damaged = bytearray((FOLDER / "tabletop.mcap").read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 20_000] = bytes(20_000)
    (tmp_path / "tabletop.mcap").write_bytes(damaged)
    with Bag(FOLDER) as complete, Bag(tmp_path) as bag:
        assert bag.warnings == ()
        read = [(m.topic.name, m.time_ns, m.serialised) for m in bag.messages()]
        expected = [(m.topic.name, m.time_ns, m.serialised) for m in complete.messages()]
        lost = sorted(set(expected) - set(read))
        assert [message for message in expected if message not in lost] == read
        counts = [int(re.search(r"(\d+) messages of", warning)[1]) for warning in bag.warnings]
        assert 0 < sum(counts) == len(lost) < len(expected)
        assert all("is damaged: the chunk at byte" in warning for warning in bag.warnings)
