# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg find`: when and where a labelled recording shows an object, and a page of thumbnails."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_messages import START_NS, STEP_NS
from labelled_bags import request, small_bag

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.cli.main import main
from zs_seg_ros.labelling.run import label
from zs_seg_ros.labelling.sightings import Sighting, sightings
from zs_seg_ros.perception.pipeline import Settings


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red box in all of 25 images of two cameras, and a blue one that is absent for 5 of every 20."""
    folder = tmp_path_factory.mktemp("find")
    bag = small_bag(folder / "bag", frames=25, cameras=("front", "arm/wrist"))
    label(request(folder / "labelled", bag))
    return folder / "labelled"


def found(recording: Path, words: str) -> list[Sighting]:
    with Bag(recording) as bag:
        return list(sightings(bag, words))


def test_an_object_is_one_line_from_its_first_track_id_to_its_last_image(labelled: Path) -> None:
    by_camera = {sighting.camera: sighting for sighting in found(labelled, "red box")}
    assert set(by_camera) == {"front", "arm/wrist"}
    front = by_camera["front"]
    # In its first image an object has no track id yet.
    assert front.first_ns == START_NS + STEP_NS
    assert front.last_ns == START_NS + 24 * STEP_NS
    assert front.images == 24 and front.track_id > 0 and front.position is None
    assert front.first_ns <= front.stamp_ns <= front.last_ns


@pytest.mark.parametrize("words", ["BOX", "box red", "Red"])
def test_all_words_must_occur_in_the_class_name_in_any_case(labelled: Path, words: str) -> None:
    names = {sighting.class_name for sighting in found(labelled, words)}
    assert names == ({"red box", "blue box"} if words == "BOX" else {"red box"})


def test_the_score_and_the_place_are_those_of_the_best_image(labelled: Path) -> None:
    [front] = [s for s in found(labelled, "red") if s.camera == "front"]
    topic = "/zs_seg/front/objects"
    with Bag(labelled) as bag:
        scores = [
            (o.score, (o.roi.x_offset, o.roi.width))
            for m in bag.messages([topic])
            for o in m.content.objects
            if o.track_id == front.track_id
        ]
    best = max(score for score, _ in scores)
    assert front.score == best
    assert (best, (front.box.left, front.box.width)) in scores


def test_without_tracking_objects_of_a_class_count_as_one(tmp_path: Path) -> None:
    settings = Settings(min_area=10, track=False)
    label(request(tmp_path / "out", small_bag(tmp_path / "bag"), settings=settings))
    [red] = found(tmp_path / "out", "red")
    assert (red.track_id, red.images, red.first_ns) == (0, 40, START_NS)


def test_the_command_prints_a_line_for_each_object(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", str(labelled), "blue"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found(labelled, "blue")) >= 2
    for line in lines:
        assert re.fullmatch(
            r"\S+Z to \S+Z  (front|arm/wrist)  blue box  #\d+  score [01]\.\d\d  no position", line
        )


def test_the_page_has_a_thumbnail_of_each_object(labelled: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["find", str(labelled), "red box", "--page", str(page)]) == 0
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page.read_text())
    assert len(images) == 2
    for text in images:
        bgr = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
        height, width = bgr.shape[:2]
        assert max(height, width) == 240
        red = (bgr[..., 2] > 150) & (bgr[..., :2].max(axis=2) < 120)
        assert 0.05 < red.mean() < 0.2  # the box, and half its size of surroundings on each side


def test_a_class_that_does_not_occur_is_named_with_those_that_do(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", str(labelled), "lamp"]) == 2
    error = capsys.readouterr().err
    assert "'lamp'" in error and "'blue box', 'red box'" in error


def test_a_recording_without_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = small_bag(tmp_path / "bag", frames=2)
    assert main(["find", str(bag), "red"]) == 2
    assert "label it with zs-seg label" in capsys.readouterr().err
