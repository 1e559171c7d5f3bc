# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Evaluate and tune from the page: in a process that ends with the job, the last page and the studio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from child_processes import children, is_running
from faded_truth import SHARE, image, write_truth
from held_jobs import MODULE, hold_jobs
from studio_clients import Page, StandIn, free_port, get, page, wait_until

from zs_seg_ros.cli.main import main
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.jobs import Job
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.measure_request import MeasureRequest, measured
from zs_seg_ros.studio.server import StudioServer

DRAFT = [{"name": "red"}, {"name": "blue", "threshold": 0.5}]


def served(labelled: LabelledFrames | None) -> StudioServer:
    return StudioServer(StandIn(), Access("127.0.0.1", free_port()), {}, labelled)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> LabelledFrames:
    return write_truth(tmp_path_factory.mktemp("truth"), 12)


@pytest.fixture
def studio(labelled: LabelledFrames) -> Iterator[StudioServer]:
    server = served(labelled)
    yield server
    server.stop()


def ended(own: Page) -> dict[str, Any]:
    return own.wait_for("job", lambda job: job["state"] != "running")[0]


def measuring(parent: int) -> list[int]:
    """The processes that a process has begun to measure."""
    return children(parent, "zs_seg_ros.studio.measure") + children(parent, MODULE)


def test_the_scores_are_those_of_the_command(
    studio: StudioServer, labelled: LabelledFrames, tmp_path: Path
) -> None:
    with page(studio.access) as own:
        own.ask("evaluate", classes=DRAFT)
        done = ended(own)
    assert done["state"] == "done", done["text"]
    arguments = ["evaluate", labelled.annotations, "--images", labelled.images, "--model", "fake"]
    file = tmp_path / "scores.json"
    assert main([*map(str, arguments), "--classes", "red", "blue", "--json", str(file)]) == 0
    [expected] = json.loads(file.read_text())
    result = done["result"]
    assert (result["images"], result["mean_iou"]) == (12, expected["mean_iou"])
    for shown, scores in zip(result["classes"], expected["classes"], strict=True):
        assert shown == {key: scores[key] for key in shown} and {"name", "iou"} <= shown.keys()
    assert result["findings"] == expected["findings"]
    assert measuring(os.getpid()) == []


def test_a_better_threshold_is_found_and_the_cache_removed(
    studio: StudioServer, labelled: LabelledFrames
) -> None:
    draft = [{"name": "red", "prompts": ["red", "green"]}, {"name": "blue"}]
    with page(studio.access) as own:
        own.ask("tune", classes=draft)
        done = ended(own)
    assert done["state"] == "done", done["text"]
    red, blue = done["result"]["classes"]
    assert red["after"] > red["before"] + 0.1 and not red["problem"]
    assert abs(red["threshold"] - SHARE) <= 0.051
    assert blue["problem"] == "it is best as given"
    assert done["result"]["after"] == pytest.approx((red["after"] + blue["after"]) / 2)
    assert sorted(path.name for path in labelled.folder.iterdir()) == ["annotations.json", "images"]


@pytest.mark.parametrize(
    ("kind", "text"), [("evaluate", "images"), ("tune", "images, each with 3 vocabularies")]
)
def test_each_image_is_counted(labelled: LabelledFrames, kind: str, text: str) -> None:
    """Pages may miss a count, since a newer one replaces it: here each one is seen."""
    vocabulary = "classes: [{name: red, prompts: [red, green]}, blue]"
    files = str(labelled.annotations), str(labelled.images)
    request = MeasureRequest(kind, *files, vocabulary, "fake", LoadOptions(), 0.5)
    counts: list[tuple[int, int, str]] = []
    measured(request, Job(lambda *count: counts.append(count)))
    assert counts[0] == (0, 0, "loading fake")
    assert [count for count in counts if count[2] == text] == [(n, 12, text) for n in range(12)]


def test_refusals_are_the_commands_own(tmp_path: Path) -> None:
    few = write_truth(tmp_path / "few", 3)
    server = served(few)
    with page(server.access) as own:
        own.ask("tune", classes=DRAFT)
        text = ended(own)["text"]
        assert "annotations.json has 3 labelled frames, which do not suffice" in text
        own.ask("evaluate", classes=[{"name": "dragon"}])
        failed = own.wait_for("job", lambda job: (job["number"], job["state"]) == (2, "failed"))[0]
        assert failed["text"].startswith("there is no ground truth for the class 'dragon'")
    server.stop()


def test_without_frames_or_a_folder_the_page_says_what_to_do(tmp_path: Path) -> None:
    for labelled, reason in ((None, "--save FOLDER"), (LabelledFrames(tmp_path), "Save as a")):
        server = served(labelled)
        with page(server.access) as own:
            for kind in ("evaluate", "tune"):
                assert reason in own.ask(kind, classes=DRAFT)["error"]
        server.stop()


@pytest.mark.parametrize("classes", [None, 7, [{}], [{"name": "a"}, {"name": "a"}]])
def test_wrong_classes_are_refused(studio: StudioServer, classes: Any) -> None:
    with page(studio.access) as own:
        answer = own.ask("evaluate", classes=classes)
    assert answer["error"] and "the studio fails" not in answer["error"]


# --- processes ---


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Jobs are held until it is a file."""
    return hold_jobs(monkeypatch, tmp_path)


def started(own: Page) -> int:
    own.ask("tune", classes=DRAFT)
    return wait_until(lambda: measuring(os.getpid()), "the process")[0]


def test_cancel_ends_the_process_and_the_next_job_begins(studio: StudioServer, go: Path) -> None:
    with page(studio.access) as own:
        process = started(own)
        own.ask("cancel")
        assert ended(own)["state"] == "cancelled"
        wait_until(lambda: not is_running(process), "the end of the process")
        go.touch()
        own.ask("evaluate", classes=DRAFT)
        done, _ = own.wait_for("job", lambda job: job["number"] == 2 and job["state"] == "done")
        assert done["result"]["images"] == 12


@pytest.mark.usefixtures("go")
def test_a_page_that_is_closed_leaves_no_process(studio: StudioServer) -> None:
    with page(studio.access) as own:
        process = started(own)
    wait_until(lambda: not is_running(process), "the end of the process")


@pytest.mark.usefixtures("go")
def test_the_studios_end_leaves_no_process(labelled: LabelledFrames) -> None:
    server = served(labelled)
    with page(server.access) as own:
        process = started(own)
        server.stop()
    wait_until(lambda: not is_running(process), "the end of the process")


HELD_STUDIO = f"""
import sys
from zs_seg_ros.cli.main import main
from zs_seg_ros.studio import measure_request
measure_request._MODULE = {MODULE!r}
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.usefixtures("go")
def test_a_killed_studio_leaves_no_process(labelled: LabelledFrames, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(image(0)).save(tmp_path / "a.png")
    access = Access("127.0.0.1", free_port())
    command = ["studio", tmp_path, "--model", "fake", "--port", access.port]
    command += ["--save", labelled.folder]
    studio = subprocess.Popen([sys.executable, "-c", HELD_STUDIO, *map(str, command)])
    try:

        def status() -> int:
            try:
                return get(access).status
            except OSError:
                return 0

        wait_until(lambda: status() == 200, "the page")
        with page(access) as own:
            own.ask("tune", classes=DRAFT)
            [process] = wait_until(lambda: measuring(studio.pid), "the process")
            studio.send_signal(signal.SIGKILL)
            wait_until(lambda: not is_running(process), "the end of the process")
    finally:
        studio.kill()
        studio.wait()
