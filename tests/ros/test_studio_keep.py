# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Keeping from the studio works at the first try, although the node has released the image that was looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import opened_page
from planner import Planner, image_message, pixels, repeating, running_node
from studio_clients import page
from studio_node import running_studio
from test_keep import HEIGHT, PARAMETERS, SIDE, WIDTH, Table, image_of, names, of_class
from test_keep_by_memory import write_model

from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.studio.frames import jpeg_of
from zs_seg_ros.types import Box

IMAGE = image_of(("red", 10, 10))
POINT = (70.5, 50.5)
BOX = Box(20, 30, 24, 16)
MASKED = "The model's mask of it."
SLOW_MS = 120_000
"""The model of the browser's test shares its processor with the images that go on."""


# --- with pages that are no browsers ---


@pytest.fixture
def table() -> Iterator[Table]:
    """A node without track ids: nothing but its image leads to an object."""
    with running_node({**PARAMETERS, "track": False}) as planner:
        yield Table(planner)


@contextmanager
def looking(table: Table, *squares: tuple[str, int, int]) -> Iterator[tuple[Any, Any]]:
    """A page that looks at the camera, and the first frame with results that it gets."""
    with running_studio() as access, page(access) as own:
        own.wait_for("status", lambda status: status["cameras"])
        own.ask("look", cameras=["camera"])
        with repeating(lambda: table.publish(*squares), 10):
            header = {"version": None}
            while not header["version"]:
                header, parts = own.wait_for("frame")
                own.tell("ready", camera="camera")
        yield own, (header, parts)


def keep(own: Any, frame: Any, box: list[int], **fields: Any) -> Any:
    header, parts = frame
    size = {"width": header["width"], "height": header["height"]}
    request = {"camera": "camera", "stamp": header["stamp"], "name": "", "box": box, **size}
    return own.ask("keep", {"image": parts["image"]}, **{**request, **fields})


@pytest.mark.parametrize("later_ns", [0, 8_000_000_000], ids=["released", "older than 5 s"])
def test_a_paused_image_is_kept_in_as_the_newest_shows_it(table: Table, later_ns: int) -> None:
    with looking(table, ("red", 10, 10), ("blue", 60, 40)) as (own, frame):
        table.stamp_ns += later_ns
        shown = ("red", 13, 12), ("blue", 60, 40)
        for _ in range(3):
            table.objects(*shown)
        with repeating(lambda: table.publish(*shown), 5):
            assert keep(own, frame, [10, 10, SIDE, SIDE])["name"] == "kept 1"
        [target] = [each for each in table.vocabulary().classes if each.name == "kept 1"]
        [exemplar] = target.exemplars
        mask = pixels(exemplar.mask) > 0
        rows, columns = np.nonzero(mask)
        assert (
            abs(rows.mean() - (12 + SIDE / 2)) < 1.5 and abs(columns.mean() - (13 + SIDE / 2)) < 1.5
        )
        objects = table.objects(*shown)
        assert names(objects) == ["blue", "kept 1"]
        assert of_class(objects, "kept 1")[0].roi.x_offset == 13


def test_an_object_that_is_gone_is_not_kept(table: Table) -> None:
    with looking(table, ("red", 10, 10)) as (own, frame):
        with repeating(lambda: table.publish(("blue", 70, 45)), 5):
            table.planner.wait_for_more(table.planner.outputs("objects"), 2)
            error = keep(own, frame, [10, 10, SIDE, SIDE])["error"]
        assert "mark it once more" in error or "no object is detected there" in error
        assert [each.name for each in table.vocabulary().classes] == ["red", "blue"]


def test_without_newer_results_the_page_says_so(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.ros.studio.keep_calls._NEXT_RESULT_S", 0.2)
    with looking(table, ("red", 10, 10)) as (own, frame):
        for _ in range(2):
            table.objects(("red", 10, 10))
        error = keep(own, frame, [10, 10, SIDE, SIDE])["error"]
    assert "no newer result came within 0.2 s" in error


def test_any_other_refusal_is_the_nodes_own_and_asked_for_once(table: Table) -> None:
    with looking(table, ("red", 10, 10)) as (own, frame):
        error = keep(own, frame, [10, 10, SIDE, SIDE], name="red")["error"]
    assert error.startswith("the vocabulary has a class 'red' already")


# --- in a browser, with a mask model that has a video memory ---


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def mask_in_force(planner: Planner, name: str) -> np.ndarray:
    [target] = [each for each in planner.get_vocabulary().classes if each.name == name]
    mask: np.ndarray = pixels(target.exemplars[0].mask) > 0
    return mask


def mask_of(model: str, prompt: MaskPrompt) -> np.ndarray:
    """The model's mask in the image that the page has: a JPEG."""
    decoded = cv2.imdecode(np.frombuffer(jpeg_of(IMAGE), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    prompter = mask_prompter_of(load_segmenter(model, LoadOptions(device="cpu")))
    [detected] = prompter.masks_of_prompts(np.ascontiguousarray(decoded), [prompt])
    return full_mask(detected.mask, detected.box, (HEIGHT, WIDTH))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


class Clicks:
    """The page of a camera whose images have WIDTH x HEIGHT pixels, and what people do with it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.panel = page.get_by_role("group", name="The marked object")
        self.message = page.locator("#message")

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("canvas").first.bounding_box()
        return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))
        expect(self.panel).to_contain_text(MASKED, timeout=SLOW_MS)

    def drag(self, box: Box) -> None:
        self.page.mouse.move(*self.at(box.left + 0.2, box.top + 0.2))
        self.page.mouse.down()
        end = self.at(box.left + box.width - 0.2, box.top + box.height - 0.2)
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()
        expect(self.panel).to_contain_text(MASKED, timeout=SLOW_MS)

    def do(self, button: str, message: str) -> None:
        """Press a button of the panel, and wait for what the page says then; the panel closes."""
        self.panel.get_by_role("button", name=button).click()
        expect(self.message).to_have_text(message, timeout=SLOW_MS)
        expect(self.panel).to_be_hidden()

    def name(self, label: str, text: str) -> None:
        self.panel.get_by_label(label).fill(text)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path, "owlv2")


@pytest.fixture
def planner(browser: Any, model: str) -> Iterator[Planner]:
    parameters = {
        "model": model,
        "device": "cpu",
        "classes": ["red"],
        "min_area": 1,
        "default_threshold": 1.0,  # nothing is detected
    }
    with running_node(parameters) as planner:
        yield planner


@pytest.fixture
def clicks(browser: Any, planner: Planner) -> Iterator[Clicks]:
    publisher = planner.node.create_publisher(type(image_message(IMAGE)), "/camera/image_raw", 10)
    with (
        repeating(lambda: publisher.publish(image_message(IMAGE)), 4),
        running_studio() as access,
        opened_page(browser, access.link, viewport={"width": 1280, "height": 900}) as page,
    ):
        expect(page.locator(".tile .numbers")).to_contain_text("vocabulary 1", timeout=SLOW_MS)
        yield Clicks(page)


def test_a_click_gets_the_models_mask_and_the_object_is_followed_under_its_name(
    planner: Planner, clicks: Clicks, model: str
) -> None:
    clicks.click(*POINT)
    stamp = clicks.page.locator(".tile").get_attribute("data-stamp")
    clicks.page.wait_for_timeout(1500)  # a person looks; the node releases the image
    clicks.name("Class of the marked object", "part 7")
    clicks.do("Keep this one", "part 7 is followed from now on.")
    assert clicks.page.locator(".tile").get_attribute("data-stamp") != stamp
    expect(clicks.page.locator(".tile tbody")).to_contain_text("part 7", timeout=SLOW_MS)
    expect(clicks.page.locator(".class[data-name='part 7']")).to_have_count(1)
    expected = mask_of(model, MaskPrompt((MarkedPoint(POINT[0] + 0.5, POINT[1] + 0.5),)))
    assert expected.sum() > 4 and iou(mask_in_force(planner, "part 7"), expected) > 0.9


def test_a_box_gets_the_models_mask_which_becomes_an_example_and_a_negative_is_added(
    planner: Planner, clicks: Clicks, model: str
) -> None:
    clicks.drag(BOX)
    clicks.name("Class of the marked object", "part 8")
    clicks.do("Use as example", "Applied.")
    assert [each.name for each in planner.get_vocabulary().classes] == ["red", "part 8"]
    expected = mask_of(model, MaskPrompt((), BOX))
    assert expected.sum() > 4 and iou(mask_in_force(planner, "part 8"), expected) > 0.9
    clicks.click(*POINT)
    clicks.name("Class of the marked object", "red")
    clicks.name("What it is instead", "a red lamp")
    clicks.do("Not this", "Applied.")
    [red, _] = planner.get_vocabulary().classes
    assert list(red.negatives) == ["a red lamp"]
