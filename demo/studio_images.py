# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Takes the images of docs/studio.md. It needs Chromium and Playwright, and no ROS.

The studio shows the shipped recording with the built-in model; the page is driven as a person would.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from zs_seg_ros.files import write_output

ROOT = Path(__file__).resolve().parents[1]
_TIMEOUT_MS = 120_000
_FILM_WIDTH, _STEP_MS = 800, 900
_NAMES = ("red duck", "blue teddy bear", "yellow cube")


def free_port() -> int:
    """Return a port that no program uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Film:
    """An animation of the page, one image for each step."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._images: list[Image.Image] = []

    def step(self, count: int = 1) -> None:
        """Add what the page shows now, for so many steps."""
        with Image.open(io.BytesIO(self._page.screenshot())) as image:
            width, height = _FILM_WIDTH, image.height * _FILM_WIDTH // image.width
            small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        self._images += [small] * count

    def write(self, path: Path) -> None:
        """Write the animation."""
        file = io.BytesIO()
        first, *others = self._images
        first.save(
            file, "WEBP", save_all=True, append_images=others, duration=_STEP_MS, loop=0, quality=75
        )
        write_output(path, file.getvalue())
        print(path)


def type_vocabulary(page: Page, film: Film) -> None:
    """Type each name, and wait for its masks."""
    for name in _NAMES:
        film.step()
        page.get_by_label("Name of a new class").fill(name)
        page.get_by_label("Name of a new class").press("Enter")
        page.locator(f".class[data-name='{name}']").wait_for()
        page.locator("#message").get_by_text("Applied.").wait_for()
        page.wait_for_timeout(1000)
    film.step(2)
    page.locator(".tile tbody").get_by_text("red duck").first.wait_for()
    page.wait_for_timeout(1500)


def measure(page: Page) -> None:
    """Save labelled frames, and tune on them with thresholds that are too high."""
    page.get_by_role("button", name="Remove fork").click()
    page.get_by_role("button", name="Apply").click()
    page.locator("#message").get_by_text("Applied.").wait_for()
    for count, index in enumerate(range(0, 240, 20), 1):
        page.get_by_label("Image", exact=True).fill(str(index))
        page.locator(".tile .numbers").get_by_text(f" {index + 1} of 240").wait_for()
        page.get_by_role("button", name="Save as a labelled frame").click()
        page.locator("#tools").get_by_text(f"{count} frames in").wait_for()
    for name in _NAMES:
        page.get_by_label(f"Threshold of {name}").fill("0.99")
    page.get_by_role("button", name="Tune the draft").click()
    page.locator("#jobs table").wait_for(timeout=10 * _TIMEOUT_MS)
    page.get_by_role("button", name="Revert").click()


def take(page: Page, folder: Path) -> None:
    """Drive the page, and write one image of each view."""

    def shoot(name: str, target: Any = page) -> None:
        if target is page:
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(300)
        path = folder / f"studio_{name}.webp"
        file = io.BytesIO()
        with Image.open(io.BytesIO(target.screenshot())) as image:
            image.convert("RGB").save(file, format="WEBP", quality=85)
        write_output(path, file.getvalue())
        print(path)

    page.locator(".tile canvas").wait_for()
    page.get_by_label("Image", exact=True).fill("30")
    page.wait_for_timeout(1000)
    film = Film(page)
    type_vocabulary(page, film)
    shoot("live")
    page.locator("label", has_text="confidence").click()
    page.wait_for_timeout(800)
    shoot("confidence", page.locator("#view"))
    page.locator("label", has_text="confidence").click()
    for threshold in ("0.8", "0.9", "0.95", "0.99"):
        page.get_by_label("Threshold of yellow cube").fill(threshold)
        page.wait_for_timeout(1000)
        film.step()
    page.get_by_label("Threshold of red duck").fill("0.97")
    page.wait_for_timeout(1000)
    shoot("threshold")
    page.get_by_role("button", name="Revert").click()
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.65 * box["width"], box["y"] + 0.74 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.84 * box["width"], box["y"] + 0.96 * box["height"], steps=5)
    page.mouse.up()
    panel = page.get_by_role("group", name="The marked object")
    panel.get_by_text("so ").wait_for()
    panel.get_by_label("Class of the marked object").fill("my drill")
    shoot("pointing")
    film.step(2)
    film.write(folder / "studio.webp")
    panel.get_by_role("button", name="Close").click()
    page.get_by_label("Name of a new class").fill("fork")
    page.get_by_label("Name of a new class").press("Enter")
    page.locator("#message").get_by_text("Applied.").wait_for()
    page.locator("summary", has_text="History").click()
    page.wait_for_timeout(1000)
    shoot("warnings", page.locator("#vocabulary"))
    page.get_by_label("First vocabulary").select_option(index=3)
    page.get_by_role("button", name="Compare on this image").click()
    page.locator(".compared figure").nth(1).wait_for()
    shoot("compare", page.locator("#tools"))
    measure(page)
    shoot("tune", page.locator("#jobs"))
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(800)
    shoot("phone")


def main() -> int:
    """Write the images and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    folder = parser.parse_args().output
    chromium = shutil.which("chromium")
    if chromium is None:
        print("studio_images: Chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    labelled = tempfile.TemporaryDirectory()
    command = ["zs-seg", "studio", str(ROOT / "recordings" / "tabletop"), "--port", str(port)]
    studio = subprocess.Popen(
        [*command, "--save", str(Path(labelled.name) / "truth")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert studio.stdout is not None
        studio.stdout.readline()  # the link, once the model is loaded
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
            page.set_default_timeout(_TIMEOUT_MS)
            page.goto(f"http://127.0.0.1:{port}/")
            take(page, folder)
            browser.close()
    finally:
        studio.terminate()
        studio.wait()
        labelled.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
