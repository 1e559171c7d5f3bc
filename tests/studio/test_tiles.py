# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Several cameras in a real browser: a tile for each, which pauses, steps and is pointed at by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from browser import opened_page
from studio_clients import StandIn, free_port, wait_until

from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.server import StudioServer
from zs_seg_ros.studio.source import Entry, Status

CAMERAS = ("front", "rear", "arm/left")
SIZES = {"front": (48, 64), "rear": (60, 40), "arm/left": (24, 32)}


class Cameras(StandIn):
    """Three cameras that publish ten images a second, with stamps that count; `stop_showing` ends that."""

    def __init__(self) -> None:
        super().__init__(*CAMERAS)
        self.count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._ended.wait(0.1):
            self.count += 1
            for camera, size in SIZES.items():
                if camera in self.watched.cameras:
                    self.show(self.count, np.full((*size, 3), 90, np.uint8), camera)


@contextmanager
def opened(browser: Any, width: int = 1280) -> Iterator[tuple[Any, Cameras]]:
    source = Cameras()
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    viewport = {"width": width, "height": 900}
    with opened_page(browser, server.access.link, viewport=viewport) as page:
        source.begin()
        for name in CAMERAS[1:]:
            page.get_by_role("checkbox", name=name).check()
        for name in CAMERAS:
            wait_until(lambda name=name: stamp(page, name) > 0, f"an image of {name}")
        yield page, source
        source.end()
    server.stop()


def tile(page: Any, name: str) -> Any:
    return page.get_by_role("figure", name=f"Camera {name}")


def stamp(page: Any, name: str) -> int:
    return int(tile(page, name).get_attribute("data-stamp") or 0)


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def test_each_camera_is_a_tile_of_its_own_proportions(browser: Any) -> None:
    with opened(browser) as (page, source):
        assert source.watched.cameras == frozenset(CAMERAS)
        boxes = {name: tile(page, name).bounding_box() for name in CAMERAS}
        assert boxes["front"]["y"] == boxes["rear"]["y"]
        assert boxes["front"]["x"] + boxes["front"]["width"] <= boxes["rear"]["x"]
        for name, (height, width) in SIZES.items():
            canvas = tile(page, name).locator("canvas").bounding_box()
            assert canvas["height"] / canvas["width"] == pytest.approx(height / width, rel=0.03)
            expect(tile(page, name).locator(".numbers")).to_contain_text(f"{width}×{height}")
            expect(tile(page, name).locator("tbody")).to_contain_text("red mug 0.90")
            expect(tile(page, name).get_by_role("img")).to_have_attribute(
                "aria-label", f"{name}: red mug"
            )


def test_on_a_phone_tiles_stand_below_each_other(browser: Any) -> None:
    with opened(browser, width=360) as (page, _):
        front, rear = (tile(page, name).bounding_box() for name in CAMERAS[:2])
        assert front["x"] == rear["x"] and front["y"] + front["height"] <= rear["y"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_one_tile_is_paused_and_stepped_back_while_the_others_go_on(browser: Any) -> None:
    with opened(browser) as (page, source):
        first = stamp(page, "front")
        wait_until(lambda: stamp(page, "front") > first, "a second image")
        tile(page, "front").locator("canvas").press(" ")
        paused = stamp(page, "front")
        rear = stamp(page, "rear")
        wait_until(lambda: stamp(page, "rear") > rear + 3, "later images of the other camera")
        assert stamp(page, "front") == paused
        tile(page, "front").get_by_role("button", name="One image back").click()
        wait_until(lambda: stamp(page, "front") < paused, "the image before")
        tile(page, "front").get_by_role("button", name="Live").click()
        wait_until(lambda: stamp(page, "front") > paused, "live images")
        assert source.watched.cameras == frozenset(CAMERAS)


def test_an_image_that_is_paused_for_long_holds_no_more_than_half_a_minute(browser: Any) -> None:
    with opened(browser) as (page, _):
        page.clock.install()
        front = tile(page, "front")
        slider = front.get_by_role("slider")

        def length() -> int:
            return int(slider.get_attribute("max") or 0)

        wait_until(lambda: length() >= 4, "some images")
        slider.fill("0")
        expect(front.get_by_role("button", name="Live")).to_be_visible()
        paused = stamp(page, "front")
        wait_until(lambda: length() >= 12, "later images")
        page.clock.fast_forward(600_000)
        wait_until(lambda: length() < 12, "the earlier images to be dropped")
        assert stamp(page, "front") == paused
        front.get_by_role("button", name="Live").click()
        wait_until(lambda: stamp(page, "front") > paused, "live images")


def test_what_is_below_the_images_stays_where_it_is_when_objects_come_and_go(
    browser: Any,
) -> None:
    source = StandIn()
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    tops = []
    with opened_page(browser, server.access.link, viewport={"width": 360, "height": 900}) as page:
        for count in (0, 1, 40):
            wait_until(lambda: "camera" in source.watched.cameras, "the page to look")
            source.show(count + 1, np.full((48, 64, 3), 90, np.uint8), objects=count)
            expect(tile(page, "camera").locator("tbody tr")).to_have_count(count)
            wait_until(lambda count=count: stamp(page, "camera") == count + 1, "the image")
            tops.append(page.get_by_role("region", name="Jobs").bounding_box()["y"])
    server.stop()
    assert len(set(tops)) == 1, tops


def test_a_camera_that_is_unticked_is_not_watched_any_more(browser: Any) -> None:
    with opened(browser) as (page, source):
        page.get_by_role("checkbox", name="rear").uncheck()
        expect(tile(page, "rear")).to_have_count(0)
        wait_until(lambda: source.watched.cameras == {"front", "arm/left"}, "fewer cameras")
        front = stamp(page, "front")
        wait_until(lambda: stamp(page, "front") > front, "a later image")


def test_pointing_is_about_the_image_that_was_clicked(browser: Any) -> None:
    with opened(browser) as (page, source):
        box = tile(page, "rear").locator("canvas").bounding_box()
        page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
        panel = page.get_by_role("group", name="The marked object")
        expect(panel).to_contain_text("so the mask of the detection is used")
        assert "active" in tile(page, "rear").get_attribute("class")
        paused = stamp(page, "rear")
        panel.get_by_role("button", name="Keep this one").click()
        expect(page.locator("#message")).to_contain_text("kept 1 is followed from now on.")
        camera, kept_stamp, _, mask = source.kept
        assert (camera, kept_stamp, mask.shape) == ("rear", paused, SIZES["rear"])
        assert mask[:, 20:].all() and not mask[:, :20].any()


# --- names, and a node that restarts ---

RECORD_TEXTS = """() => {
    window.texts = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        window.texts.push([text, this.measureText(text).width]);
        return fillText.call(this, text, ...place);
    };
}"""


@pytest.mark.parametrize(
    "name", ["w" * 200, "<b>" * 60, "שלום עולם " * 20, "🦆👨‍👩‍👧" * 40], ids=["one word", "markup", "rtl", "emoji"]
)  # fmt: skip
def test_a_long_name_is_shortened_beside_its_object_and_keeps_its_confidence(
    browser: Any, name: str
) -> None:
    source = StandIn()
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    with opened_page(browser, server.access.link) as page:
        page.evaluate(RECORD_TEXTS)
        wait_until(lambda: "camera" in source.watched.cameras, "the camera to be watched")
        source.show(1, np.full((300, 400, 3), 90, np.uint8), name=name)
        expect(page.locator(".tile tbody")).to_contain_text(name.strip())
        text, width = page.evaluate("window.texts.at(-1)")
    server.stop()
    assert text.startswith(f"\u2068{name[:2]}") and text.endswith("…\u2069 0.90")
    assert 0.4 * 400 < width <= 0.6 * 400


def test_a_node_that_restarts_leaves_edits_that_were_not_applied(browser: Any) -> None:
    with opened(browser) as (page, source):
        name = page.locator(".class").get_by_label("Name", exact=True)
        expect(name).to_have_value("red mug")
        name.fill("red cup")
        source.restart("blue mug")
        expect(page.locator("#banner")).to_contain_text(
            "The node has started anew with version 1: blue mug. Your edits are kept."
        )
        expect(name).to_have_value("red cup")
        page.get_by_text("History").click()
        expect(page.locator("#history li").first).to_contain_text("after a restart of the node")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("#question-text")).to_contain_text("The node has started anew")
        page.get_by_role("button", name="Mine, in place of it").click()
        expect(page.locator("#message")).to_have_text("Applied.")
        assert source.vocabulary.names == ("red cup",)
        source.set_by_another("green mug")
        expect(page.locator("#history li").first).to_contain_text("by another client")


def test_long_names_leave_room_for_the_words_beside_them(browser: Any) -> None:
    """On a phone the columns beside a name of 200 letters had one letter a line, and so had the word classes."""
    source = StandIn()
    server = StudioServer(source, Access("127.0.0.1", free_port()))
    with opened_page(browser, server.access.link, viewport={"width": 360, "height": 740}) as page:
        entry = Entry("/zs_seg: model", 0, "ready", {"state": "active", "classes": "w" * 400})
        status = Status("/zs_seg", "active", cameras=source.cameras, entries=(entry,))
        source.events.status(status)
        wait_until(lambda: "camera" in source.watched.cameras, "the camera to be watched")
        source.show(1, name="w" * 200)
        expect(page.locator(".tile tbody")).to_contain_text("w" * 200)
        expect(page.locator("#entries dt")).to_have_count(2)
        for words in ("#entries dt", ".tile th"):
            [first, *others] = page.locator(words).evaluate_all(HEIGHTS)
            assert all(height <= 1.5 * first for height in others), words
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    server.stop()


HEIGHTS = """all => all.map((each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    return range.getBoundingClientRect().height;
})"""
