# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The data set of `zs-seg label --format coco`, read by COCO's conventions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import labelled_bags
import numpy as np
import pytest
from bag_messages import START_NS, STEP_NS, BagWriter, compressed, image_message
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.labelling.coco_output import coco_runs
from zs_seg_ros.labelling.run import label
from zs_seg_ros.types import Box, DetectedObject


def decoded(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    """Decode uncompressed RLE as pycocotools does: column by column, background first. Return (H, W)."""
    height, width = segmentation["size"]
    pixels: list[bool] = []
    for number, length in enumerate(segmentation["counts"]):
        pixels += [number % 2 == 1] * length
    return np.array(pixels).reshape(width, height).T


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.data())
def test_run_lengths_are_those_of_the_columns_of_the_whole_image(
    mask: NDArray[np.bool_], data: st.DataObject
) -> None:
    top, left, below, right = (data.draw(st.integers(0, 5)) for _ in range(4))
    whole = np.pad(mask, ((top, below), (left, right)))
    detected = DetectedObject(1, 0.5, Box(left, top, mask.shape[1], mask.shape[0]), mask)
    runs = coco_runs(detected, *whole.shape)
    assert (decoded(runs) == whole).all()
    assert all(length > 0 for length in runs["counts"][1:])


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    bag = labelled_bags.small_bag(folder / "bag", frames=20, cameras=("left", "front/right"))
    label(labelled_bags.request(folder / "out", bag, output_format="coco"))
    return folder / "out"


@pytest.fixture(scope="module")
def annotations(data_set: Path) -> Any:
    return json.loads((data_set / "annotations.json").read_text())


def test_categories_are_the_vocabulary(annotations: Any) -> None:
    names = [(category["id"], category["name"]) for category in annotations["categories"]]
    assert names == [(1, "red box"), (2, "blue box")]


def test_every_image_is_there_as_it_was_recorded(data_set: Path, annotations: Any) -> None:
    for place, camera in enumerate(("left", "front/right")):
        entries = [e for e in annotations["images"] if e["camera"] == camera]
        assert len(entries) == 20
        for number, entry in enumerate(entries):
            with Image.open(data_set / "images" / entry["file_name"]) as image:
                assert (np.asarray(image) == labelled_bags.image(number + 5 * place)).all()
                assert image.size == (entry["width"], entry["height"])
            assert entry["stamp_ns"] == START_NS + number * STEP_NS


def test_masks_together_are_the_label_image(data_set: Path, annotations: Any) -> None:
    for entry in annotations["images"]:
        with Image.open(data_set / "labels" / entry["label_file_name"]) as image:
            expected = np.asarray(image)
        label_image = np.zeros_like(expected)
        for annotation in annotations["annotations"]:
            if annotation["image_id"] == entry["id"]:
                mask = decoded(annotation["segmentation"])
                label_image[mask] = annotation["category_id"]
                rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
                left, top = columns[0], rows[0]
                box = [left, top, columns[-1] + 1 - left, rows[-1] + 1 - top]
                assert annotation["bbox"] == box and annotation["area"] == mask.sum()
        assert expected.any() and (label_image == expected).all()


def test_ids_are_unique_and_objects_keep_their_track_id(annotations: Any) -> None:
    entries = annotations["annotations"]
    assert len({entry["id"] for entry in entries}) == len(entries)
    camera_of = {entry["id"]: entry["camera"] for entry in annotations["images"]}
    red = [e for e in entries if e["category_id"] == 1 and camera_of[e["image_id"]] == "left"]
    tracks = [entry["track_id"] for entry in red]
    assert tracks[0] == 0 and len(set(tracks[1:])) == 1 and all(0 < e["score"] <= 1 for e in red)


def test_no_working_files_are_left(data_set: Path) -> None:
    names = {path.name for path in data_set.iterdir()}
    assert names == {"annotations.json", "images", "labels"}
    assert not data_set.with_name("out.partial").exists()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_recorded_jpeg_keeps_its_bytes(tmp_path: Path, suffix: str) -> None:
    messages = [compressed(labelled_bags.image(n), START_NS + n, suffix) for n in range(3)]
    with BagWriter(tmp_path / "bag") as bag:
        for message in messages:
            bag.write("/camera/image_raw/compressed", message.header.stamp.nanosec, message)
    label(labelled_bags.request(tmp_path / "out", tmp_path / "bag", output_format="coco"))
    files = sorted((tmp_path / "out" / "images" / "camera").iterdir())
    assert [file.suffix for file in files] == [suffix] * 3
    for number, (file, message) in enumerate(zip(files, messages, strict=True)):
        if suffix == ".jpg":
            assert file.read_bytes() == message.data.tobytes()
        else:
            with Image.open(file) as image:
                assert (np.asarray(image) == labelled_bags.image(number)).all()


def test_an_unreadable_image_has_no_entry(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(6):
            time_ns = START_NS + number // 2  # two at a time
            changes: dict[str, Any] = {"step": 1} if number in (0, 3) else {}
            message = image_message(labelled_bags.image(number), START_NS + number, **changes)
            bag.write("/camera/image_raw", time_ns, message)
    label(labelled_bags.request(tmp_path / "out", tmp_path / "bag", output_format="coco"))
    entries = json.loads((tmp_path / "out" / "annotations.json").read_text())["images"]
    assert [entry["stamp_ns"] - START_NS for entry in entries] == [1, 2, 4, 5]
    for entry, number in zip(entries, (1, 2, 4, 5), strict=True):
        with Image.open(tmp_path / "out" / "images" / entry["file_name"]) as image:
            assert (np.asarray(image) == labelled_bags.image(number)).all()
