# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Frames that are accepted in the page become ground truth that zs-seg evaluate and tune read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from studio_clients import StandIn, free_port, page

from zs_seg_ros.errors import StudioError
from zs_seg_ros.evaluation.coco_truth import CocoTruth
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.server import StudioServer

PIXELS = np.arange(24 * 32 * 3, dtype=np.uint32).reshape(24, 32, 3).astype(np.uint8)
IMAGE = cv2.imencode(".png", np.ascontiguousarray(PIXELS[..., ::-1]))[1].tobytes()
SIZE = {"width": 32, "height": 24}
MUG = {"name": "red mug", "box": [4, 2, 3, 2], "runs": 3}
RUNS = np.array([1, 4, 1], "<u4").tobytes()
"""Of the mug: all but the first and the last pixel of its box."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StudioServer]:
    labelled = LabelledFrames(tmp_path / "truth")
    server = StudioServer(StandIn(), Access("127.0.0.1", free_port()), {}, labelled)
    yield server
    server.stop()


def save(studio: StudioServer, *objects: Any, runs: bytes = RUNS, **fields: Any) -> Any:
    with page(studio.access) as own:
        given = {"objects": list(objects), "classes": ["red mug", "duck"], **SIZE, **fields}
        return own.ask("save", {"image": IMAGE, "runs": runs}, **given)


def test_accepted_frames_are_read_as_ground_truth(studio: StudioServer, tmp_path: Path) -> None:
    assert save(studio, MUG)["count"] == 1
    answer = save(studio, runs=b"")
    assert answer["count"] == 2 and answer["path"] == str(tmp_path / "truth" / "annotations.json")
    truth = CocoTruth(Path(answer["path"]), tmp_path / "truth" / "images")
    assert [target.name for target in truth.classes] == ["red mug", "duck"]
    first, second = truth.frames()
    expected = np.zeros((24, 32), np.bool_)
    expected[2:4, 4:7] = True
    expected[2, 4] = expected[3, 6] = False
    assert (first.image == PIXELS).all()
    assert ((first.label == 1) == expected).all() and not second.label.any()


def test_a_folder_goes_on_after_a_restart(studio: StudioServer, tmp_path: Path) -> None:
    save(studio, MUG)
    again = LabelledFrames(tmp_path / "truth")
    assert len(again) == 1
    assert again.add(PIXELS, [], ["cup"]) == 2
    names = [each["name"] for each in json.loads(again.annotations.read_text())["categories"]]
    assert names == ["red mug", "duck", "cup"]


@pytest.mark.parametrize(
    "content", ['{"images": []}', "no json", "[]", '{"info": {"description": "mine"}}']
)
def test_annotations_of_others_stay_as_they_are(tmp_path: Path, content: str) -> None:
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(StudioError, match="name another folder"):
        LabelledFrames(tmp_path)
    assert (tmp_path / "annotations.json").read_text() == content


@pytest.mark.parametrize(
    "wrong",
    [{**MUG, "box": [31, 2, 3, 2]}, {**MUG, "runs": 4}, {**MUG, "runs": -1}, {**MUG, "name": ""},
     {**MUG, "name": 7}, {**MUG, "box": None}, {**MUG, "box": [4, 2, 3, 3]}, 7],
)  # fmt: skip
def test_a_damaged_object_is_refused_and_nothing_is_saved(
    studio: StudioServer, tmp_path: Path, wrong: Any
) -> None:
    answer = save(studio, wrong)
    assert answer["error"] and "the studio fails" not in answer["error"]
    assert not (tmp_path / "truth").exists()


def test_without_a_folder_the_page_says_how_to_give_one() -> None:
    server = StudioServer(StandIn(), Access("127.0.0.1", free_port()))
    try:
        assert "start the studio with --save FOLDER" in save(server, MUG)["error"]
    finally:
        server.stop()
