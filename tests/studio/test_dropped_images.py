# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image files that are dropped onto the page are one more camera, segmented with the vocabulary in force."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from studio_clients import Page, StandIn, huge_png, page, wait_until

from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.studio import dropped_images
from zs_seg_ros.studio.dropped_images import CAMERA
from zs_seg_ros.studio.server import StudioServer
from zs_seg_ros.studio.uploads import photo_of

HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m.png'


def file_of(*colours: str, kind: str = "PNG", **options: Any) -> bytes:
    stripes = [np.full((24, 16, 3), PALETTE[colour], np.uint8) for colour in colours]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(stripes, axis=1)).save(file, kind, **options)
    return file.getvalue()


def drop(own: Page, name: str, data: bytes) -> Any:
    return own.ask("drop", {"file": data}, name=name)


def shown(own: Page, title: str, where: Any = lambda _: True) -> Any:
    while True:
        header, parts = own.wait_for("frame")
        own.tell("ready", camera=CAMERA)
        if header["title"] == title and where(header):
            return header, parts


def names(header: Any) -> list[str]:
    return [each["name"] for each in header["objects"]]


def test_a_dropped_image_is_a_camera_and_segmented_with_the_vocabulary_in_force(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own, page(studio.access) as other:
        assert drop(own, "mugs.png", file_of("red", "blue")) == {
            "is": "answer", "to": 1, "camera": CAMERA, "index": 0,
        }  # fmt: skip
        for each in (own, other):
            status, _ = each.wait_for("status", lambda status: status["lengths"])
            assert (status["cameras"], status["lengths"]) == (["camera", CAMERA], {CAMERA: 1})
        own.ask("look", cameras=[CAMERA])
        header, parts = shown(own, "mugs.png")
        assert (header["camera"], header["index"], names(header)) == (CAMERA, 0, ["red mug"])
        assert header["objects"][0]["box"] == [0, 0, 16, 24] and header["version"] == 1
        decoded = cv2.imdecode(np.frombuffer(parts["image"], np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (24, 32, 3)
        assert source.watched.cameras == frozenset()
        source.set_by_another("blue jar")
        header, _ = shown(own, "mugs.png", lambda header: header["version"] == 2)
        assert (names(header), header["objects"][0]["box"]) == (["blue jar"], [16, 0, 16, 24])


def test_several_are_chosen_between_and_removed(studio: StudioServer) -> None:
    with page(studio.access) as own:
        drop(own, "a.jpg", file_of("blue", kind="JPEG"))
        assert drop(own, "b.webp", file_of("red", kind="WEBP", lossless=True))["index"] == 1
        own.ask("look", cameras=[CAMERA])
        assert names(shown(own, "a.jpg")[0]) == []
        own.ask("choose", camera=CAMERA, index=1)
        assert names(shown(own, "b.webp")[0]) == ["red mug"]
        assert "there is no dropped image 3" in own.ask("choose", camera=CAMERA, index=2)["error"]
        own.ask("clear_dropped")
        own.wait_for("status", lambda status: status["cameras"] == ["camera"])


def test_an_image_of_a_phone_is_upright(studio: StudioServer) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    with page(studio.access) as own:
        drop(own, "a.jpg", file_of("red", "blue", kind="JPEG", exif=exif))
        own.ask("look", cameras=[CAMERA])
        header, _ = shown(own, "a.jpg")
    assert (header["width"], header["height"]) == (24, 32)


def test_16_bit_grey_and_palettes_are_read_as_by_the_commands(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    files = {
        "wide.png": Image.fromarray(wide),
        "palette.png": Image.fromarray(np.full((6, 8, 3), (30, 60, 220), np.uint8)).convert("P"),
        "grey.png": Image.fromarray(np.full((6, 8), 77, np.uint8)),
        "clear.png": Image.fromarray(np.full((6, 8, 4), (9, 80, 70, 0), np.uint8)),
    }
    for name, image in files.items():
        image.save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        assert np.array_equal(photo_of(data), read_image(tmp_path / name)), name
    assert np.array_equal(photo_of((tmp_path / "wide.png").read_bytes())[..., 1], wide)


def test_a_16_bit_image_is_shown_with_its_most_significant_bits(studio: StudioServer) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((24, 32), 128 << 8, np.uint16)).save(file, "PNG")
    with page(studio.access) as own:
        drop(own, "depth.png", file.getvalue())
        own.ask("look", cameras=[CAMERA])
        _, parts = shown(own, "depth.png")
    decoded = cv2.imdecode(np.frombuffer(parts["image"], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - 128).max() <= 2


def test_without_a_vocabulary_the_image_is_shown_alone(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        source.set_by_another()
        own.wait_for("vocabulary", lambda vocabulary: vocabulary["version"] == 2)
        drop(own, "a.png", file_of("red"))
        own.ask("look", cameras=[CAMERA])
        header, _ = shown(own, "a.png")
    assert header["version"] is None and header["objects"] == []


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", file_of("red")[:60],
     huge_png(60_000, 60_000), huge_png(16_000, 16_000), huge_png(0, 10), b"\xff\xd8\xff" + b"\0" * 1000,
     file_of("red", kind="BMP"), file_of("red", kind="TIFF")],
)  # fmt: skip
def test_a_hostile_file_is_refused_in_one_sentence_and_the_next_one_added(
    studio: StudioServer, data: bytes
) -> None:
    with page(studio.access) as own:
        error = drop(own, HOSTILE, data)["error"]
        assert error.startswith('<img src=x onerror="alert(1)">\\x1b[31m.png is not added: ')
        assert "\n" not in error and "the studio fails" not in error
        assert drop(own, HOSTILE, file_of("red"))["index"] == 0


@pytest.mark.parametrize("name", [None, 7, ["a"]])
def test_a_wrong_name_is_refused(studio: StudioServer, name: Any) -> None:
    with page(studio.access) as own:
        assert "load the page again" in drop(own, name, file_of("red"))["error"]


def test_a_long_name_is_shortened(studio: StudioServer) -> None:
    with page(studio.access) as own:
        drop(own, "x" * 5000, file_of("red"))
        own.ask("look", cameras=[CAMERA])
        header, _ = own.wait_for("frame")
    assert header["title"] == "x" * 99 + "…"


@pytest.mark.parametrize(("limit", "value"), [("MOST_FILES", 2), ("MOST_BYTES", 250)])
def test_more_than_the_limit_is_refused(
    studio: StudioServer, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    data = file_of("red")
    assert 250 / 3 < len(data) <= 125
    monkeypatch.setattr(dropped_images, limit, value)
    with page(studio.access) as own:
        for index in range(2):
            assert drop(own, "a.png", data)["index"] == index
        error = drop(own, "c.png", data)["error"]
        assert "c.png is not added: 2 images of 0 MiB were added already" in error
        own.ask("clear_dropped")
        assert drop(own, "c.png", data)["index"] == 0


def test_what_needs_a_live_camera_is_refused(studio: StudioServer, tmp_path: Path) -> None:
    image = file_of("red")
    with page(studio.access) as own:
        drop(own, "a.png", image)
        fields: dict[str, Any] = {"camera": CAMERA, "stamp": "0", "name": "x"}
        answer = own.ask("keep", {"image": image}, box=[0, 0, 4, 4], **fields)
        assert "this one was dropped onto the page" in answer["error"]


def test_a_problem_of_the_model_is_reported_and_the_next_image_shown(
    studio: StudioServer, source: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("out of luck")

    with page(studio.access) as own, monkeypatch.context() as broken:
        broken.setattr(source, "segment", fail)
        drop(own, "a.png", file_of("red"))
        own.ask("look", cameras=[CAMERA])
        status, _ = own.wait_for("status", lambda status: "a.png" in status["problem"])
        assert "the model fails on a.png" in status["problem"]
        broken.undo()
        own.ask("choose", camera=CAMERA, index=0)
        own.wait_for("status", lambda status: status["problem"] == "")
        wait_until(lambda: names(shown(own, "a.png")[0]) == ["red mug"], "the result")
