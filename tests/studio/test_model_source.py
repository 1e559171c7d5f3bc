# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The studio without a node: images and recordings, segmented by a model in this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from small_bags import SHIPPED_BAG
from studio_clients import Page, free_port, get, page, wait_until

from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.model_source import ModelSource, NamedModel
from zs_seg_ros.studio.server import StudioServer
from zs_seg_ros.studio.stills import RecordedImages, stills_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

RED = Vocabulary().changed_to([TargetClass("red")])


def write_image(path: Path, *colours: str) -> None:
    stripes = [np.full((40, 30, 3), PALETTE[colour], np.uint8) for colour in colours]
    Image.fromarray(np.concatenate(stripes, axis=1)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(tmp_path / "b.png", "blue", "red")
    write_image(tmp_path / "a.png", "red", "green")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def studio(folder: Path) -> Iterator[StudioServer]:
    model = NamedModel("fake", LoadOptions(), RED)
    source = ModelSource(model, stills_of([folder]), Settings())
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    yield server
    server.stop()


def shown(own: Page, title: str) -> Any:
    return own.wait_for("frame", lambda frame: frame["title"] == title)


def test_the_images_of_a_folder_are_chosen_and_segmented(studio: StudioServer) -> None:
    with page(studio.access) as own:
        status, _ = own.wait_for(
            "status", lambda each: each["cameras"]
        )  # not the one before the model is loaded
        assert (status["cameras"], status["lengths"]) == (["images"], {"images": 2})
        own.ask("look", cameras=["images"])
        first, parts = shown(own, "a.png")
        assert [(each["name"], each["box"]) for each in first["objects"]] == [
            ("red", [0, 0, 30, 40])
        ]
        assert "confidence" in parts
        own.tell("ready", camera="images")
        own.ask("choose", camera="images", index=1)
        second, _ = shown(own, "b.png")
        assert [each["box"] for each in second["objects"]] == [[30, 0, 30, 40]]
        assert "there is no image 3" in own.ask("choose", camera="images", index=2)["error"]


def test_a_new_vocabulary_segments_the_shown_image_again(studio: StudioServer) -> None:
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        own.ask("look", cameras=["images"])
        shown(own, "a.png")
        own.tell("ready", camera="images")
        own.ask("set_vocabulary", base=base, classes=[{"name": "green"}])
        again, _ = own.wait_for("frame", lambda frame: frame["version"] == 2)
        assert [each["name"] for each in again["objects"]] == ["green"]


def test_what_needs_a_node_or_another_model_is_refused(studio: StudioServer) -> None:
    image = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    with page(studio.access) as own:
        fields: dict[str, Any] = {"camera": "images", "stamp": "0", "name": "x"}
        answer = own.ask("keep", {"image": image}, box=[0, 0, 4, 4], **fields)
        assert "start the studio beside a running node" in answer["error"]
        answer = own.ask("point", {"image": image}, points=[[1, 1, False]], box=None)
        assert "fake" in answer["error"]


def test_without_a_second_model_a_comparison_with_it_is_refused(studio: StudioServer) -> None:
    image = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    with page(studio.access) as own:
        assert own.wait_for("status", lambda each: each["cameras"])[0]["models"] == []
        answer = own.ask("segment", {"image": image}, classes=[{"name": "red"}], against=True)
        assert "start zs-seg studio with --against MODEL" in answer["error"]


def test_an_image_that_cannot_be_read_is_reported_and_the_next_one_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    write_image(tmp_path / "b.png", "red")
    source = ModelSource(NamedModel("fake", LoadOptions(), RED), stills_of([tmp_path]), Settings())
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    try:
        with page(server.access) as own:
            own.ask("look", cameras=["images"])
            own.wait_for("status", lambda status: "a.png cannot be read" in status["problem"])
            own.ask("choose", camera="images", index=1)
            shown(own, "b.png")
            own.wait_for("status", lambda status: status["problem"] == "")
    finally:
        server.stop()


def test_any_frame_of_a_recording_is_read() -> None:
    stills = RecordedImages(SHIPPED_BAG)
    length = stills.lengths["camera"]
    first, _ = stills.read("camera", 0)
    last, _ = stills.read("camera", length - 1)
    again, _ = stills.read("camera", 0)
    assert first.image.shape == (240, 320, 3) and last.stamp_ns > first.stamp_ns
    assert (again.image == first.image).all() and not (last.image == first.image).all()
    stills.close()


@pytest.mark.parametrize("path", ["nowhere", "notes.txt", "."])
def test_what_holds_no_image_is_refused_in_one_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    if path == "notes.txt":
        stills = stills_of([tmp_path / path])
        with pytest.raises(ZeroShotSegmentationError, match="cannot be read as an image"):
            stills.read("images", 0)
    else:
        with pytest.raises(ZeroShotSegmentationError, match=r"there is no|holds no image"):
            stills_of([tmp_path / path])


def to_the_process(process_id: int) -> None:
    os.kill(process_id, signal.SIGINT)


def to_another_thread(process_id: int) -> None:
    """As the system may deliver it."""
    threads = (int(task.name) for task in Path(f"/proc/{process_id}/task").iterdir())
    thread = next(each for each in threads if each != process_id)
    assert ctypes.CDLL(None).tgkill(process_id, thread, signal.SIGINT) == 0


@pytest.mark.parametrize("interrupt", [to_the_process, to_another_thread])
def test_the_command_serves_the_page_and_ends_on_a_signal(
    folder: Path, interrupt: Callable[[int], None]
) -> None:
    port = free_port()
    process = subprocess.Popen(
        ["zs-seg", "studio", str(folder), "--model", "fake", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:

        def status() -> int:
            assert process.poll() is None, process.communicate()[0]
            try:
                return get(Access("127.0.0.1", port)).status
            except OSError:
                return 0

        assert wait_until(status, "the page") == 200
        interrupt(process.pid)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0 and f"open http://127.0.0.1:{port}/" in output
    assert "Traceback" not in output
