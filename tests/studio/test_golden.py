# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A span of a recording becomes a golden file, and one job runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bags import Camera, image, write_bag
from studio_clients import Page, StandIn, free_port, page, wait_until
from video_bags import write_video_bag

from zs_seg_ros.errors import StudioError
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.replay.golden import Golden
from zs_seg_ros.replay.results import Span
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.jobs import Job, Work
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.model_source import ModelSource, NamedModel
from zs_seg_ros.studio.server import StudioServer
from zs_seg_ros.studio.stills import stills_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SQUARES = Vocabulary().changed_to([TargetClass("red square"), TargetClass("blue square")])
SPAN: dict[str, Any] = {"camera": "camera", "first": 2, "last": 5, "name": "kitchen"}


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bag(tmp_path / "kitchen", Camera(depth=True), frames=8)


@pytest.fixture
def studio(bag: Path, tmp_path: Path) -> Iterator[StudioServer]:
    yield from served(bag, LabelledFrames(tmp_path / "truth"))


def served(path: Path, labelled: LabelledFrames | None) -> Iterator[StudioServer]:
    model = NamedModel("fake", LoadOptions(), SQUARES)
    source = ModelSource(model, stills_of([path]), Settings(min_area=20))
    server = StudioServer(source, Access("127.0.0.1", free_port()), {}, labelled)
    yield server
    server.stop()


def job(own: Page, state: str) -> dict[str, Any]:
    return own.wait_for("job", lambda job: job["state"] == state)[0]


def test_a_span_is_written_with_its_objects_tracks_and_positions(
    studio: StudioServer, tmp_path: Path
) -> None:
    with page(studio.access) as own:
        assert own.ask("replay_test", **SPAN)["number"] == 1
        done = job(own, "done")
    path = tmp_path / "truth" / "kitchen.golden"
    assert done["result"]["path"] == str(path) and done["result"]["frames"] == 4
    assert done["result"]["bytes"] == path.stat().st_size
    with Golden(path) as golden:
        settings = golden.settings
        assert (settings.model, settings.recording) == ("fake", "kitchen")
        assert (settings.names, settings.span) == (("red square", "blue square"), Span(2, 5))
        assert settings.settings["min_area"] == 20
        assert golden.frame("camera", 1) is None and golden.frame("camera", 6) is None
        for index in range(2, 6):
            frame = golden.frame("camera", index)
            assert frame is not None and len(frame.objects) == 2
            assert np.count_nonzero(frame.label == 1) == 16 * 16
            for detected in frame.objects:
                assert bool(detected.track_id) == (index > 2)  # an id comes with the second image
                assert detected.position_m is not None
                assert detected.position_m[2] == pytest.approx(1 + index / 100)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"last": 8}, "camera has no images 3 to 9: it has 1 to 8"),
     ({"first": 6}, "camera has no images 7 to 6"), ({"first": -1}, "has no images 0 to 6"),
     ({"camera": "rear"}, "rear has no images"), ({"name": "../x"}, "cannot be the name of a file"),
     ({"name": ""}, "cannot be the name of a file"), ({"name": "a/b"}, "cannot be the name of a file"),
     ({"first": None}, "load the page again"), ({"name": 7}, "load the page again")],
)  # fmt: skip
def test_a_span_or_a_name_that_cannot_be_is_refused_in_one_sentence(
    studio: StudioServer, tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    with page(studio.access) as own:
        error = own.ask("replay_test", **{**SPAN, **wrong})["error"]
    assert reason in error and "\n" not in error
    assert not (tmp_path / "truth").exists() and not (tmp_path / "x.golden").exists()


def video_span(path: Path, first: int, last: int) -> str:
    """Why a span of a video is refused; empty where it is not."""
    try:
        stills_of([path]).span("camera", first, last)
    except StudioError as error:
        return str(error)
    return ""


def test_a_span_of_a_video_begins_with_a_keyframe(tmp_path: Path) -> None:
    images = [image(number) for number in range(12)]
    video = write_video_bag(tmp_path / "video", images, keyframe_every=5)
    assert [video_span(video, first, 11) for first in (0, 5, 10)] == ["", "", ""]
    assert video_span(video, 5, 5) == ""
    between = video_span(video, 2, 11)
    assert between.startswith("image 3 of camera is between two keyframes of its video")
    assert "begin with image 6, or with an earlier keyframe" in between
    assert video_span(video, 2, 4).startswith("none of the images 3 to 5 of camera is a keyframe")
    for server in served(video, LabelledFrames(tmp_path / "truth")):
        with page(server.access) as own:
            assert "between two keyframes" in own.ask("replay_test", **{**SPAN, "last": 7})["error"]
            assert own.ask("replay_test", **{**SPAN, "first": 5, "last": 7})["number"] == 1
            assert job(own, "done")["result"]["frames"] == 3


def test_a_file_that_is_there_stays(studio: StudioServer, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "kitchen.golden").write_text("mine")
    with page(studio.access) as own:
        error = own.ask("replay_test", **SPAN)["error"]
    assert "kitchen.golden already: choose another name" in error
    assert (tmp_path / "truth" / "kitchen.golden").read_text() == "mine"


def test_without_a_recording_or_a_folder_or_beside_a_live_node_the_reason_is_said(
    bag: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    for path, labelled, reason in (
        (tmp_path / "a.png", LabelledFrames(tmp_path / "truth"), "is made of a recording"),
        (bag, None, "start the studio with --save FOLDER"),
    ):
        for server in served(path, labelled):
            with page(server.access) as own:
                assert reason in own.ask("replay_test", **SPAN)["error"]
    live = StudioServer(
        StandIn(), Access("127.0.0.1", free_port()), {}, LabelledFrames(tmp_path / "t")
    )
    with page(live.access) as own:
        assert own.ask("replay_test", **SPAN)["error"] == "this camera is live"
    live.stop()


def test_without_a_class_nothing_is_written(studio: StudioServer, tmp_path: Path) -> None:
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        own.ask("set_vocabulary", base=base, classes=[])
        own.ask("replay_test", **SPAN)
        assert "no class is in force" in job(own, "failed")["text"]
    assert not (tmp_path / "truth" / "kitchen.golden").exists()


# --- one job at a time, with a source whose work waits ---


class Waiting(StandIn):
    """Its work goes on until it is cancelled, or `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.ended = threading.Event()

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        def work(job: Job) -> dict[str, Any]:
            try:
                while not self.go.wait(0.01):
                    job.report(1, 4, "an image")
            finally:
                self.ended.set()
            return {"path": str(path)}

        return work


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[StudioServer, Waiting]]:
    source = Waiting()
    labelled = LabelledFrames(tmp_path / "truth")
    server = StudioServer(source, Access("127.0.0.1", free_port()), {}, labelled)
    yield server, source
    server.stop()


def test_progress_is_seen_on_all_pages_and_a_second_job_is_refused(
    waiting: tuple[StudioServer, Waiting],
) -> None:
    server, source = waiting
    with page(server.access) as own, page(server.access) as other:
        own.ask("replay_test", **SPAN)
        for each in (own, other):
            shown, _ = each.wait_for("job", lambda job: job["total"] == 4)
            assert (shown["done"], shown["text"], shown["state"]) == (1, "an image", "running")
        assert "another job runs" in other.ask("replay_test", **SPAN)["error"]
        with page(server.access) as late:
            assert late.wait_for("job")[0]["state"] == "running"
        source.go.set()
        assert job(other, "done")["result"]["path"].endswith("kitchen.golden")
        assert other.ask("replay_test", **SPAN)["number"] == 2


def test_a_job_is_cancelled_by_any_page(waiting: tuple[StudioServer, Waiting]) -> None:
    server, source = waiting
    with page(server.access) as own, page(server.access) as other:
        number = own.ask("replay_test", **SPAN)["number"]
        assert other.ask("cancel", number=number) == {"is": "answer", "to": 1}
        job(own, "cancelled")
        wait_until(source.ended.is_set, "the end of the work")


def test_a_late_cancel_does_not_end_the_job_that_follows(
    waiting: tuple[StudioServer, Waiting],
) -> None:
    server, source = waiting
    with page(server.access) as own:
        first = own.ask("replay_test", **SPAN)["number"]
        own.ask("cancel", number=first)
        job(own, "cancelled")
        second = own.ask("replay_test", **SPAN)["number"]
        own.ask("cancel", number=first)
        assert "a whole number" in own.ask("cancel", number="1")["error"]
        source.go.set()
        assert job(own, "done")["number"] == second


def test_a_job_ends_after_the_last_page_has_left(waiting: tuple[StudioServer, Waiting]) -> None:
    server, source = waiting
    with page(server.access) as own:
        own.ask("replay_test", **SPAN)
        own.wait_for("job", lambda job: job["total"] == 4)
    wait_until(source.ended.is_set, "the end of the work")


def test_a_job_ends_with_the_studio(waiting: tuple[StudioServer, Waiting]) -> None:
    server, source = waiting
    with page(server.access) as own:
        own.ask("replay_test", **SPAN)
        own.wait_for("job", lambda job: job["total"] == 4)
        server.stop()
    assert source.ended.is_set()
