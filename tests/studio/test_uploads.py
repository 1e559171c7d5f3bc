# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images, masks and files that pages send: segmented, marked, made examples; refused when they are hostile."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from studio_clients import StandIn, huge_png, page

from zs_seg_ros.perception.masks import decode_runs, encode_runs
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.studio.frames import jpeg_of, png_of
from zs_seg_ros.studio.server import StudioServer

HALVES = np.concatenate(
    [np.full((24, 16, 3), PALETTE[colour], np.uint8) for colour in ("red", "blue")], axis=1
)
IMAGE = cv2.imencode(".png", np.ascontiguousarray(HALVES[..., ::-1]))[1].tobytes()
SIZE = {"width": 32, "height": 24}


# --- what they are for ---


def test_an_image_is_segmented_with_classes_for_this_request_alone(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        answer = own.ask("segment", {"image": IMAGE}, classes=[{"name": "blue"}], **SIZE)
    [blue] = answer["objects"]
    left, top, width, height = blue["box"]
    mask = decode_runs(np.frombuffer(answer["parts"]["runs"], "<u4"), height, width)
    assert (left, top, width, height) == (16, 0, 16, 24) and mask.all()
    confidence = cv2.imdecode(
        np.frombuffer(answer["parts"]["confidence"], np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert (confidence[:, 18:] > 200).all() and (confidence[:, :14] == 0).all()
    assert source.vocabulary.names == ("red mug",)


def test_a_smaller_copy_is_segmented_in_pixels_of_the_camera(studio: StudioServer) -> None:
    with page(studio.access) as own:
        answer = own.ask(
            "segment", {"image": IMAGE}, classes=[{"name": "blue"}], width=320, height=240
        )
    [blue] = answer["objects"]
    left, top, width, height = blue["box"]
    assert abs(left - 160) <= 6 and (top, left + width, height) == (0, 320, 240)


def test_a_marked_box_gets_the_models_mask(studio: StudioServer) -> None:
    with page(studio.access) as own:
        answer = own.ask("point", {"image": IMAGE}, points=[], box=[2, 3, 10, 12], **SIZE)
    assert [each["box"] for each in answer["objects"]] == [[2, 3, 10, 12]]


def test_the_reason_of_a_model_that_takes_no_points_is_answered(studio: StudioServer) -> None:
    with page(studio.access) as own:
        answer = own.ask("point", {"image": IMAGE}, points=[[3.5, 4, False]], box=None, **SIZE)
    assert answer["error"] == "the model takes no points"


def test_a_marked_object_becomes_an_example_of_a_class(
    studio: StudioServer, source: StandIn
) -> None:
    mask = np.zeros((12, 10), np.bool_)
    mask[2:9, 3:8] = True
    runs = encode_runs(mask).astype("<u4").tobytes()
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        given = own.ask("example", {"image": IMAGE, "runs": runs}, box=[2, 3, 10, 12], **SIZE)
        assert given["thumbnail"].startswith("data:image/jpeg;base64,")
        classes = [{"name": "mine", "exemplars": [{"key": given["key"]}]}]
        own.ask("set_vocabulary", base=base, classes=classes)
        seen, _ = own.wait_for("vocabulary", lambda v: v["version"] == 2)
    [exemplar] = source.vocabulary.classes[0].exemplars
    assert exemplar.mask is not None and exemplar.image.shape == (24, 32, 3)
    assert (exemplar.mask[3:15, 2:12] == mask).all() and exemplar.mask.sum() == mask.sum()
    assert seen["classes"][0]["exemplars"] == [
        {"key": given["key"], "thumbnail": given["thumbnail"]}
    ]


def test_a_marked_object_is_kept(studio: StudioServer, source: StandIn) -> None:
    with page(studio.access) as own:
        fields: dict[str, Any] = {"camera": "camera", "stamp": "1234567890123456789", "name": ""}
        answer = own.ask("keep", {"image": IMAGE}, box=[16, 0, 16, 24], **fields, **SIZE)
    assert answer["name"] == "kept 1"
    camera, stamp, name, mask = source.kept
    assert (camera, stamp, name) == ("camera", 1234567890123456789, "")
    assert mask[:, 16:].all() and not mask[:, :16].any()


# --- vocabulary files ---


def test_a_vocabulary_is_exported_and_imported_again(studio: StudioServer, source: StandIn) -> None:
    classes = [{"name": "mug", "prompts": ["cup"], "negatives": ["jar"], "threshold": 0.3, "id": 7}]
    with page(studio.access) as own:
        text = own.ask("export", classes=classes)["text"]
        [entry] = own.ask("import", {"file": text.encode()})["classes"]
    assert yaml.safe_load(text) == {"classes": classes}
    assert {name: entry[name] for name in classes[0]} == classes[0]
    assert source.vocabulary.version == 1


def test_a_preset_is_a_draft(studio: StudioServer, source: StandIn) -> None:
    with page(studio.access) as own:
        assert own.ask("presets")["names"] == ["arm"]
        classes = own.ask("preset", name="arm")["classes"]
        assert "there is no preset" in own.ask("preset", name="../arm")["error"]
    assert [(each["name"], each["prompts"]) for each in classes] == [
        ("mug", ["coffee cup"]),
        ("bowl", []),
    ]
    assert source.vocabulary.version == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"classes: &a [*a]", b"classes: !!python/object:os.system x", b"x: 1",
     b"[" * 50_000, b"classes: [{name: a, exemplars: [{image: x}]}]"],
)  # fmt: skip
def test_a_hostile_vocabulary_file_is_refused_in_one_sentence(
    studio: StudioServer, data: bytes
) -> None:
    with page(studio.access) as own:
        refused_in_one_sentence(own.ask("import", {"file": data}))


# --- hostile images and masks ---


def refused_in_one_sentence(answer: Any) -> None:
    assert answer["error"] and "\n" not in answer["error"]
    assert "the studio fails" not in answer["error"]


@pytest.mark.parametrize(
    "image",
    [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", IMAGE[:60], jpeg_of(HALVES)[:200],
     huge_png(60_000, 60_000), huge_png(16_000, 16_000), huge_png(0, 10), b"\xff\xd8\xff" + b"\0" * 1000],
)  # fmt: skip
def test_a_hostile_image_is_refused_and_the_next_one_works(
    studio: StudioServer, image: bytes
) -> None:
    with page(studio.access) as own:
        refused_in_one_sentence(own.ask("segment", {"image": image}, classes=[{"name": "blue"}]))
        assert own.ask("segment", {"image": IMAGE}, classes=[{"name": "blue"}])["objects"]


@pytest.mark.parametrize(
    "size",
    [{"width": 10**9, "height": 10**9}, {"width": -1, "height": 24}, {"width": 0, "height": 0},
     {"width": "32", "height": 24}, {"width": True, "height": 24}, {"width": 32}],
)  # fmt: skip
def test_an_absurd_size_is_refused(studio: StudioServer, size: dict[str, Any]) -> None:
    with page(studio.access) as own:
        refused_in_one_sentence(
            own.ask("segment", {"image": IMAGE}, classes=[{"name": "blue"}], **size)
        )


@pytest.mark.parametrize(
    ("box", "runs"),
    [([0, 0, 33, 24], b""), ([-1, 0, 4, 4], b""), ([0, 0, 0, 0], b""), ("x", b""), (None, b""),
     ([0, 0, 4, 4], b"\0"), ([0, 0, 4, 4], struct.pack("<2I", 0, 17)), ([0, 0, 4, 4], struct.pack("<I", 16)),
     ([0.5, 0, 4, 4], b""), ([0, 0, 4], b"")],
)  # fmt: skip
def test_a_wrong_mask_is_refused(studio: StudioServer, box: Any, runs: bytes) -> None:
    with page(studio.access) as own:
        refused_in_one_sentence(own.ask("example", {"image": IMAGE, "runs": runs}, box=box, **SIZE))


@pytest.mark.parametrize(
    "points", [7, [[1, 2]], [["a", 2, False]], [[1, 2, 3]], [[1, 2, False]] * 65]
)
def test_wrong_points_are_refused(studio: StudioServer, points: Any) -> None:
    with page(studio.access) as own:
        refused_in_one_sentence(own.ask("point", {"image": IMAGE}, points=points, box=None, **SIZE))


@pytest.mark.parametrize("stamp", [7, "", "x", "-1", "1" * 30, "１"])
def test_a_wrong_stamp_is_refused(studio: StudioServer, stamp: Any) -> None:
    fields: dict[str, Any] = {"camera": "camera", "stamp": stamp, "name": ""}
    with page(studio.access) as own:
        refused_in_one_sentence(
            own.ask("keep", {"image": IMAGE}, box=[0, 0, 4, 4], **fields, **SIZE)
        )


def test_grey_values_are_sent_without_loss() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    decoded = cv2.imdecode(np.frombuffer(png_of(values), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (decoded == values).all()
