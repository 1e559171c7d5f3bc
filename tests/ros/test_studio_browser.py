# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The studio in a real browser, beside a running node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from browser import opened_page
from planner import Planner, image_message, repeating, running_node, stripes, wait_until
from studio_node import running_studio

from zs_seg_ros.studio.access import Access

IMAGE = stripes("red", "blue", "green", height=120, width=80)
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def planner(browser: Any) -> Iterator[Planner]:
    with running_node() as planner:
        yield planner


@pytest.fixture(scope="module")
def access(planner: Planner) -> Iterator[Access]:
    with running_studio() as access, camera(planner):
        yield access


@pytest.fixture
def page(browser: Any, access: Access) -> Iterator[Any]:
    with opened_page(browser, access.link, viewport={"width": 1280, "height": 900}) as page:
        yield page


@contextmanager
def camera(planner: Planner) -> Iterator[None]:
    publisher = planner.node.create_publisher(type(image_message(IMAGE)), "/camera/image_raw", 10)
    with repeating(lambda: publisher.publish(image_message(IMAGE)), 10):
        yield


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def pixel(page: Any, x: int, y: int) -> list[int]:
    """RGB of a pixel of the shown image."""
    return page.locator("canvas").first.evaluate(
        """(canvas, [x, y]) => {
            const zoom = canvas.width / 240;
            return [...canvas.getContext('2d').getImageData((x + 0.5) * zoom, (y + 0.5) * zoom, 1, 1).data].slice(0, 3);
        }""",
        [x, y],
    )


def listed(page: Any) -> str:
    return str(page.locator(".tile tbody").first.text_content())


def names_in_force(planner: Planner) -> list[str]:
    return [each.name for each in planner.get_vocabulary().classes]


def set_vocabulary(planner: Planner, page: Any, *names: str) -> None:
    """Set a vocabulary, and wait until the page lists it in place of that of the test before."""
    planner.set_vocabulary(*names)
    inputs = page.locator(".class").get_by_label("Name", exact=True)

    def shown() -> list[str]:
        return list(inputs.evaluate_all("(inputs) => inputs.map((each) => each.value)"))

    wait_until(lambda: shown() == list(names), "the classes")


def add(page: Any, name: str) -> None:
    page.get_by_label("Name of a new class").fill(name)
    page.get_by_label("Name of a new class").press("Enter")


def test_a_first_vocabulary_is_typed_and_its_masks_appear(planner: Planner, page: Any) -> None:
    set_vocabulary(planner, page)
    expect(page.locator("#version")).to_have_text(re.compile("version"))
    add(page, "blue")
    expect(page.locator("#message")).to_have_text("Applied.")
    expect(page.locator(".tile tbody")).to_contain_text("blue 1.00")
    assert names_in_force(planner) == ["blue"]
    red, green, blue = pixel(page, 120, 60)
    assert (red, green, blue) != (30, 60, 220)  # tinted
    page.get_by_label("Opacity").fill("0")
    wait_until(lambda: abs(pixel(page, 120, 60)[2] - 220) < 12, "the image without tint")


def test_a_name_with_markup_stays_text(planner: Planner, page: Any) -> None:
    planner.set_vocabulary(f"blue {HOSTILE}")
    row = page.get_by_role("list", name="Classes").get_by_role("listitem").first
    expect(row.get_by_label("Name", exact=True)).to_have_value(f"blue {HOSTILE}")
    expect(page.locator(".tile tbody")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.title() == "zs_seg studio"


def test_a_change_by_another_client_is_seen_at_once(planner: Planner, page: Any) -> None:
    set_vocabulary(planner, page, "red")
    planner.set_vocabulary("green", "blue")
    expect(page.locator(".class")).to_have_count(2)
    expect(page.locator(".tile tbody")).to_contain_text("green 1.00")


def test_edits_are_kept_when_another_client_changes_the_vocabulary(
    planner: Planner, page: Any
) -> None:
    set_vocabulary(planner, page, "red")
    name = page.locator(".class").get_by_label("Name", exact=True)
    name.fill("green")
    planner.set_vocabulary("blue")
    expect(page.locator("#banner")).to_contain_text("Another client has set version")
    name.press("Enter")
    expect(page.locator("#question-text")).to_contain_text("blue. What should be in force?")
    page.get_by_role("button", name="Both").click()
    expect(page.locator("#message")).to_have_text("Applied.")
    assert names_in_force(planner) == ["green", "blue"]


def test_a_change_is_undone_and_redone(planner: Planner, page: Any) -> None:
    set_vocabulary(planner, page, "red")
    add(page, "blue")
    expect(page.locator("#message")).to_have_text("Applied.")
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: names_in_force(planner) == ["red"], "the vocabulary before")
    expect(page.locator(".class")).to_have_count(1)
    page.get_by_role("button", name="Redo").click()
    wait_until(lambda: names_in_force(planner) == ["red", "blue"], "the vocabulary again")


def test_warnings_stand_beside_the_class_that_they_concern(planner: Planner, page: Any) -> None:
    set_vocabulary(planner, page, "red")
    add(page, "unicorn")
    warnings = page.get_by_role("list", name="Warnings about unicorn")
    expect(warnings).to_contain_text("has no colour word that the model fake knows")
    expect(page.locator(".class").first.locator(".warnings li")).to_have_count(0)


def test_a_refused_vocabulary_says_why_and_keeps_the_edit(planner: Planner, page: Any) -> None:
    set_vocabulary(planner, page, "red")
    add(page, "red")
    expect(page.locator("#message")).to_contain_text("the name 'red' occurs twice")
    expect(page.locator(".class")).to_have_count(2)
    assert names_in_force(planner) == ["red"]


def test_a_paused_image_stays_and_earlier_ones_are_shown(planner: Planner, page: Any) -> None:
    planner.set_vocabulary("red")
    tile = page.locator(".tile").first
    expect(tile).to_have_attribute("data-version", re.compile(r"\d"))
    wait_until(lambda: int(tile.get_attribute("data-frames") or 0) > 5, "some images")
    page.locator("canvas").first.press(" ")
    expect(tile.get_by_role("button", name="Live")).to_be_visible()
    paused = int(tile.get_attribute("data-stamp"))
    page.locator("canvas").first.press("ArrowLeft")
    wait_until(lambda: int(tile.get_attribute("data-stamp")) < paused, "the image before")
    page.locator("canvas").first.press("ArrowRight")
    wait_until(lambda: int(tile.get_attribute("data-stamp")) == paused, "the paused image")
    tile.get_by_role("button", name="Live").click()
    wait_until(lambda: int(tile.get_attribute("data-stamp")) > paused, "a newer image")


def test_hidden_classes_have_no_masks(planner: Planner, page: Any) -> None:
    planner.set_vocabulary("red", "blue")
    expect(page.locator(".tile tbody")).to_contain_text("blue")
    page.get_by_label("Show masks of blue").uncheck()
    expect(page.locator(".tile tbody")).not_to_contain_text("blue")
    expect(page.locator(".tile tbody")).to_contain_text("red")


def test_the_page_comes_back_after_the_studio_restarts(browser: Any, planner: Planner) -> None:
    planner.set_vocabulary("red")
    with running_studio() as access:
        port = access.port
        page = browser.new_page()
        page.goto(access.link)
        expect(page.locator("#connection")).to_have_text("connected")
    expect(page.locator("#connection")).to_contain_text("no connection")
    with running_studio(port=port):
        expect(page.locator("#connection")).to_have_text("connected")
        expect(page.locator(".class")).to_have_count(1)
        page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone(browser: Any, access: Access, planner: Planner, theme: str) -> None:
    planner.set_vocabulary("red")
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": theme}
    with opened_page(browser, access.link, **options) as page:
        expect(page.locator(".class")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(244, 246, 248)", "dark": "rgb(18, 22, 28)"}[theme]


def test_every_control_has_a_name_for_screen_readers(page: Any, planner: Planner) -> None:
    set_vocabulary(planner, page, "red")
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, input:not([hidden]), select, textarea, canvas')]
            .filter((each) => !(each.textContent.trim() || each.labels?.length || each.getAttribute('aria-label')))
            .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
