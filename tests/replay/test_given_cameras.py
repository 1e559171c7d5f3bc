# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`replay_test --camera`: cameras whose topics have other names than the node's defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_messages import START_NS, STEP_NS, BagWriter
from replay_processes import FAKE, make_golden, replay
from small_bags import Camera, write_bag

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.replay.golden import Golden

FRAMES = 5
CAMERAS = (
    Camera("front", depth=True, depth_late_ns=10**6),
    Camera("rear", compressed=True),
)
OTHER_NAMES = {
    "/front/image_raw": "/zed/left/image_rect_color",
    "/front/depth/image_raw": "/zed/aligned_depth_to_color/image",
    "/front/camera_info": "/zed/left/info",
    "/rear/image_raw/compressed": "image_jpeg",
}
FRONT = "front=/zed/left/image_rect_color,/zed/aligned_depth_to_color/image,/zed/left/info"
REAR = "rear=image_jpeg"


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "usual", *CAMERAS, frames=FRAMES)


@pytest.fixture(scope="module")
def foreign(usual: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording with the same messages on topics of other names."""
    folder = tmp_path_factory.mktemp("bags") / "foreign"
    with Bag(usual) as bag, BagWriter(folder) as copy:
        for message in bag.messages():
            copy.write(OTHER_NAMES[message.topic.name], message.time_ns, message.content)
    return folder


@pytest.fixture(scope="module")
def golden(usual: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_golden(usual, tmp_path_factory.mktemp("golden") / "usual.golden")


def test_the_results_are_those_of_the_usual_names(foreign: Path, golden: Path) -> None:
    run = replay(foreign, "--golden", golden, "--camera", FRONT, "--camera", REAR, "--exact")
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"SAME: {2 * FRAMES} frames in lockstep" in run.stdout


def test_a_golden_file_is_made_of_a_lone_file_with_other_names(
    foreign: Path, tmp_path: Path
) -> None:
    (file,) = foreign.glob("*.mcap")
    path = make_golden(file, tmp_path / "own.golden", *FAKE, "--camera", FRONT)
    with Golden(path) as opened:
        assert [camera.name for camera in opened.settings.cameras] == ["front"]
        frame = opened.frame("front", FRAMES - 1)
        assert frame is not None
        assert frame.stamp_ns == START_NS + (FRAMES - 1) * STEP_NS
        positions = [detected.position_m for detected in frame.objects]
        assert len(positions) == 2
        for position in positions:
            assert position is not None
            assert position[2] == pytest.approx(1 + (FRAMES - 1) / 100)
    assert replay(file, "--golden", path, "--camera", FRONT).returncode == 0


def test_without_the_option_the_error_offers_it_for_each_image_topic(
    foreign: Path, tmp_path: Path
) -> None:
    run = replay(foreign, "--golden", tmp_path / "g", "--update", *FAKE)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "--camera zed_left_image_rect_color=/zed/left/image_rect_color" in line
    assert "--camera image_jpeg=image_jpeg" in line


def test_a_cut_off_recording_is_replayed_up_to_the_cut_with_a_warning(
    foreign: Path, tmp_path: Path
) -> None:
    (file,) = foreign.glob("*.mcap")
    whole = file.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: whole.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    run = replay(cut, "--golden", tmp_path / "g", "--update", *FAKE, "--camera", REAR)
    assert run.returncode == 0, run.stderr
    assert "replay_test: warning:" in run.stderr
    assert "is cut off or damaged after" in run.stderr
    with Golden(tmp_path / "g") as opened:
        assert opened.frame("rear", FRAMES - 1) is not None
