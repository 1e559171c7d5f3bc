# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`replay_test` as an installed executable, which replays small bags through a node with the model fake."""

from __future__ import annotations

import json
import os
import signal
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from child_processes import is_running
from killed_processes import kill, remove, segments_of
from replay_processes import (
    FAKE,
    make_golden,
    node_started_by,
    replay,
    started,
    wait_until,
)
from rosbags.rosbag2 import StoragePlugin
from small_bags import Camera, write_bag

from zs_seg_ros.cli.replay_arguments import parse
from zs_seg_ros.replay.golden import Golden

FRAMES = 6
WORSE = ("-p", "default_threshold:=0.95")  # the red square's confidence is 0.8


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record three cameras: one with depth, which is missing for two images, and two with compressed images."""
    return write_bag(
        tmp_path_factory.mktemp("bags") / "three_cameras",
        Camera("front", depth=True, depth_late_ns=10**6, without_depth=(0, 3)),
        Camera("arm/left", compressed=True, depth=True, compressed_depth=True, without_depth=(2,)),
        Camera("rear", compressed=True),
        frames=FRAMES,
        storage=StoragePlugin.SQLITE3,
    )


@pytest.fixture(scope="module")
def golden(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_golden(bag, tmp_path_factory.mktemp("golden") / "fake.golden")


@pytest.fixture(scope="module")
def long_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "long", frames=3000)


def test_the_golden_file_has_every_frame_of_every_camera(golden: Path) -> None:
    with Golden(golden) as opened:
        assert opened.settings.names == ("red square", "blue square")
        assert opened.settings.model == "fake"
        for camera, without_depth in (
            ("front", (0, 3)),
            ("arm/left", (2,)),
            ("rear", range(FRAMES)),
        ):
            for index in range(FRAMES):
                frame = opened.frame(camera, index)
                assert frame is not None
                assert [detected.class_name for detected in frame.objects] == [
                    "blue square",
                    "red square",
                ]
                assert all(bool(detected.track_id) == (index > 0) for detected in frame.objects)
                for detected in frame.objects:
                    assert (detected.position_m is None) == (index in without_depth)
                    if detected.position_m is not None:
                        assert detected.position_m[2] == pytest.approx(1 + index / 100)


def test_the_same_node_gives_the_same_bytes_and_exit_code_0(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    again = make_golden(bag, tmp_path / "again.golden")
    assert again.read_bytes() == golden.read_bytes()
    run = replay(bag, "--golden", golden, "--exact")
    assert run.returncode == 0, run.stderr
    assert "red square   1.0000" in run.stdout
    assert f"SAME: {3 * FRAMES} frames in lockstep" in run.stdout


def test_a_robots_file_does_not_make_results_depend_on_the_speed_of_the_model(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    robot = tmp_path / "robot.yaml"
    pace = {"propagation": "flow", "min_inference_period": 600.0, "model": "fake"}
    robot.write_text(json.dumps({"/**": {"ros__parameters": pace}}))
    run = replay(bag, "--golden", golden, "--exact", "--params-file", robot, *FAKE)
    assert run.returncode == 0, run.stderr + run.stdout


def test_with_propagation_every_third_image_is_inferred_and_each_run_gives_the_same_bytes(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    carried = ("-p", "propagation:=flow", "-p", "inference_every:=3")
    first = make_golden(bag, tmp_path / "first.golden", *FAKE, *carried)
    second = make_golden(bag, tmp_path / "second.golden", *FAKE, *carried)
    assert first.read_bytes() == second.read_bytes() != golden.read_bytes()


def test_a_worse_setting_is_detected_and_reported_in_all_three_formats(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    junit, html = tmp_path / "report.xml", tmp_path / "report.html"
    run = replay(bag, "--golden", golden, *WORSE, "--junit", junit, "--html", html, "--images", "2")
    assert run.returncode == 1, run.stderr
    assert "DIFFERENT" in run.stdout
    assert "default_threshold was 0.5 and is 0.95" in run.stdout
    cases = {case.get("name"): case for case in ElementTree.parse(junit).iter("testcase")}
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    assert failed == {"red square", "objects missed"}
    assert cases["blue square"].find("failure") is None
    page = html.read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "red square missed" in page
    assert "http" not in page


def test_a_single_camera_can_be_checked(bag: Path, golden: Path) -> None:
    run = replay(bag, "--golden", golden, "--cameras", "rear")
    assert run.returncode == 0, run.stderr
    assert f"SAME: {FRAMES} frames" in run.stdout


def test_a_parameter_file_replaces_the_settings_of_the_golden_file(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    parameters = tmp_path / "robot.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters:\n    model: fake\n    cameras: [something_else]\n"
        "    classes: [red square]\n    min_area: 20\n"
    )
    run = replay(bag, "--golden", golden, "--params-file", parameters)
    assert run.returncode == 1, run.stderr
    assert "DIFFERS  no longer in the vocabulary" in run.stdout
    assert "red square   1.0000" in run.stdout


def test_in_real_time_latencies_are_reported(bag: Path, golden: Path, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    arguments = ("--rate", "0.5", "--html", html, "--switches", "1")
    run = replay(bag, "--golden", golden, "--cameras", "rear", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "at 0.5 × real time" in run.stdout
    assert "ms (median)" in run.stdout
    assert f"of {FRAMES} frames dropped" in run.stdout
    assert "<svg" in html.read_text()


def test_a_running_node_is_used_with_its_own_settings(bag: Path, golden: Path) -> None:
    parameters = ("model:=fake", "cameras:=[rear]", "rear.transport:=compressed", "min_area:=20")
    words = [
        word for p in (*parameters, "classes:=[red square, blue square]") for word in ("-p", p)
    ]
    with started("segmentation_node", "--ros-args", "-r", "__node:=mine", *words) as node:
        for _ in range(2):  # independent of the frames that it processed before
            run = replay(bag, "--golden", golden, "--node", "/mine", "--exact")
            assert run.returncode == 2
            assert "does not subscribe to a camera 'front'; its cameras are rear" in run.stderr or (
                "does not subscribe to a camera 'arm/left'; its cameras are rear" in run.stderr
            )
            run = replay(bag, "--golden", golden, "--node", "mine", "--cameras", "rear", "--exact")
            assert run.returncode == 0, run.stdout + run.stderr
        assert node.poll() is None


# --- errors ---


def test_a_missing_topic_is_reported_with_the_topics_of_the_recording(
    bag: Path, golden: Path, tmp_path: Path
) -> None:
    other = write_bag(tmp_path / "other", Camera("front"), Camera("rear", compressed=True))
    junit = tmp_path / "report.xml"
    run = replay(other, "--golden", golden, "--junit", junit)
    assert run.returncode == 2
    [line] = run.stderr.splitlines()
    assert "/arm/left/image_raw/compressed, which the recording" in line
    assert "it has /front/image_raw (sensor_msgs/msg/Image), /rear/image_raw/compressed (" in line
    [error] = ElementTree.parse(junit).iter("error")
    assert error.get("message") in line


def test_another_recording_of_the_same_cameras_is_refused(golden: Path, tmp_path: Path) -> None:
    shifted = write_bag(
        tmp_path / "later", Camera("rear", compressed=True, stamp_late_ns=77), frames=FRAMES
    )
    run = replay(shifted, "--golden", golden, "--cameras", "rear")
    assert run.returncode == 2
    assert "is of another recording (three_cameras)" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--golden", "nowhere/golden"), "there is no folder nowhere"),
        (("--golden", "missing.golden"), "make it with --update"),
        (("--golden", "g", "--update", "--rate", "1"), "leave --rate out"),
        (("--golden", "g", "--node", "zs_seg", "--model", "fake"), "--model is for a node that"),
        (("--golden", "g", "--update", "--model", "nonsense"), "there is no model 'nonsense'"),
        (
            ("--golden", "g", "--update", "--model", "fake"),
            "has no classes to detect; give them with",
        ),
        (("--golden", "g", "--update", *FAKE, "-p", "min_area:=-5"), "min_area"),
        (("--golden", "g", "--iou", "2"), "'2' is not a number from 0 to 1"),
    ],
)
def test_wrong_arguments_end_with_exit_code_2_and_the_reason(
    bag: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = replay(bag, *arguments)
    assert run.returncode == 2
    assert reason in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "g").exists()


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    run = replay(tmp_path, "--golden", tmp_path / "g", "--update", *FAKE)
    assert run.returncode == 2
    assert "is no recording: it has no metadata.yaml" in run.stderr


# --- the end of the process ---


def _update_command(bag: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("replay_test", bag, "--golden", tmp_path / "g", "--update", *FAKE)


def _wait_for_first_frames(pid: int, tmp_path: Path) -> int:
    """Wait until the golden file is being written, and return the node's process id."""
    node = wait_until(lambda: node_started_by(pid), "the node")
    wait_until(
        lambda: any(part.stat().st_size for part in tmp_path.glob(".zs_seg_*.new")),
        "the first frames",
    )
    return node


def test_a_node_that_is_killed_during_the_replay_is_reported_at_once(
    long_bag: Path, tmp_path: Path
) -> None:
    with started(*_update_command(long_bag, tmp_path)) as process:
        node = _wait_for_first_frames(process.pid, tmp_path)
        left = segments_of(node)
        os.kill(node, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    remove(left)
    assert process.returncode == 2
    assert "segmentation_node ended with exit code -9" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_replay_test_and_its_node(
    long_bag: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started(*_update_command(long_bag, tmp_path)) as process:
        node = _wait_for_first_frames(process.pid, tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "replay_test: interrupted" in errors
    assert "Traceback" not in errors
    assert not is_running(node)
    assert not list(tmp_path.glob(".zs_seg_*.new"))
    assert not (tmp_path / "g").exists()


def test_the_node_ends_when_replay_test_is_killed(long_bag: Path, tmp_path: Path) -> None:
    with started(*_update_command(long_bag, tmp_path)) as process:
        node = _wait_for_first_frames(process.pid, tmp_path)
        left = segments_of(node)
        kill(process)
        wait_until(lambda: not is_running(node), "the node's end")
    remove(left)
    assert not is_running(node)


def test_the_help_names_every_exit_code() -> None:
    run = replay("--help")
    assert run.returncode == 0
    assert "Exit code: 0 the results are the same, 1 they differ, 2" in run.stdout


@pytest.mark.parametrize("option", ["--images", "--pictures"])
def test_the_number_of_drawn_frames_has_two_option_names(option: str) -> None:
    assert parse(["bag", "--golden", "file", option, "2"]).images == 2
