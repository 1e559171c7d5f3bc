# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A golden file that the studio has made is the one that `replay_test` makes, and is checked by it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from replay_processes import FAKE, make_golden, replay
from small_bags import Camera, write_bag
from studio_clients import free_port, page

from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.model_source import ModelSource, NamedModel
from zs_seg_ros.studio.server import StudioServer
from zs_seg_ros.studio.stills import stills_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SQUARES = Vocabulary().changed_to([TargetClass("red square"), TargetClass("blue square")])
CAMERAS = (Camera("front", depth=True), Camera("rear", compressed=True))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "table", *CAMERAS, frames=9)


def studio_golden(bag: Path, folder: Path, camera: str, first: int, last: int) -> Path:
    source = ModelSource(
        NamedModel("fake", LoadOptions(), SQUARES), stills_of([bag]), Settings(min_area=20)
    )
    server = StudioServer(source, Access("127.0.0.1", free_port()), {}, LabelledFrames(folder))
    with page(server.access) as own:
        own.ask("replay_test", camera=camera, first=first, last=last, name="table")
        done, _ = own.wait_for("job", lambda job: job["state"] != "running")
    server.stop()
    assert done["state"] == "done", done["text"]
    return Path(done["result"]["path"])


@pytest.mark.parametrize("camera", ["front", "rear"])
def test_a_whole_recording_gives_the_same_members_as_replay_test(
    bag: Path, tmp_path: Path, camera: str
) -> None:
    own = studio_golden(bag, tmp_path / "own", camera, 0, 8)
    expected = make_golden(bag, tmp_path / "expected.golden", "--cameras", camera, *FAKE)
    with zipfile.ZipFile(own) as one, zipfile.ZipFile(expected) as other:
        assert one.namelist() == other.namelist()
        for name in set(one.namelist()) - {"golden.json"}:
            assert one.read(name) == other.read(name), name
        heading = json.loads(one.read("golden.json"))
        assert heading.pop("span") == {"first": 0, "last": 8}
        assert heading == json.loads(other.read("golden.json"))


def test_a_span_is_replayed_exactly_and_another_threshold_is_noticed(
    bag: Path, tmp_path: Path
) -> None:
    golden = studio_golden(bag, tmp_path, "front", 3, 7)
    run = replay(bag, "--golden", golden, "--exact")
    assert run.returncode == 0, run.stderr + run.stdout
    assert "SAME: 5 frames in lockstep" in run.stdout
    worse = replay(bag, "--golden", golden, "-p", "default_threshold:=0.95")
    assert worse.returncode == 1, worse.stderr
    assert "red square" in worse.stdout
    in_real_time = replay(bag, "--golden", golden, "--rate", "1")
    assert "5 frames at 1 × real time" in in_real_time.stdout, in_real_time.stderr
