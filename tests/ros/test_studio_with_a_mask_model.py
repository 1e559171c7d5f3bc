# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Pointing in the browser at what nothing detects: the node's mask model gives its mask, and the object is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from browser import opened_browser, opened_page
from planner import Planner, image_message, pixels, repeating, running_node
from studio_node import running_studio
from test_keep import HEIGHT, WIDTH, image_of

from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.studio.frames import jpeg_of
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2

IMAGE = image_of(("red", 10, 10))
POINT = (70.5, 50.5)
MASKED = "The model's mask of it."
SLOW_MS = 120_000
"""The model of this test shares its processor with the images that go on."""


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def mask_of(model: str) -> np.ndarray:
    """The mask of the point in the image that the page has: a JPEG."""
    decoded = cv2.imdecode(np.frombuffer(jpeg_of(IMAGE), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    prompter = mask_prompter_of(load_segmenter(model, LoadOptions(device="cpu")))
    prompt = MaskPrompt((MarkedPoint(POINT[0] + 0.5, POINT[1] + 0.5),))
    [detected] = prompter.masks_of_prompts(np.ascontiguousarray(decoded), [prompt])
    return full_mask(detected.mask, detected.box, (HEIGHT, WIDTH))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def keep(page: Any, name: str, mark: Any) -> None:
    """Mark an object and keep it; again when the image has become too old on a busy machine."""
    panel, message = page.get_by_role("group", name="The marked object"), page.locator("#message")
    for _ in range(5):
        mark()
        expect(panel).to_contain_text(MASKED, timeout=SLOW_MS)
        panel.get_by_label("Class of the marked object").fill(name)
        message.evaluate("each => { each.textContent = ''; }")
        panel.get_by_role("button", name="Keep this one").click()
        expect(message).to_contain_text(" ", timeout=SLOW_MS)
        if "is followed from now on" in message.text_content():
            expect(panel).to_be_hidden()
            return
        panel.get_by_role("button", name="Close").click()
    raise AssertionError(message.text_content())


def mask_in_force(planner: Planner, name: str) -> np.ndarray:
    [target] = [each for each in planner.get_vocabulary().classes if each.name == name]
    [exemplar] = target.exemplars
    mask: np.ndarray = pixels(exemplar.mask) > 0
    return mask


def test_a_click_gets_the_mask_models_mask_and_is_kept(tmp_path: Path) -> None:
    write_owlv2(tmp_path / "owlv2", small_owlv2_config(), words=("red",), seed=1)
    write_sam2(tmp_path / "sam2", small_sam2_video_config(), seed=3)
    model = f"{tmp_path / 'owlv2'} + {tmp_path / 'sam2'}"
    expected = mask_of(model)
    assert expected.sum() > 4
    parameters = {
        "model": model,
        "device": "cpu",
        "classes": ["red"],
        "min_area": 4,
        "default_threshold": 1.0,  # nothing is detected
    }
    with opened_browser() as browser, running_node(parameters) as planner:
        publisher = planner.node.create_publisher(
            type(image_message(IMAGE)), "/camera/image_raw", 10
        )
        with (
            repeating(lambda: publisher.publish(image_message(IMAGE)), 2),
            running_studio() as access,
            opened_page(browser, access.link, viewport={"width": 1280, "height": 900}) as page,
        ):
            expect(page.locator(".tile .numbers")).to_contain_text("96×64")
            canvas = page.locator("canvas").first

            def at(x: float, y: float) -> tuple[float, float]:
                box = canvas.bounding_box()
                return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]

            keep(page, "part 7", lambda: page.mouse.click(*at(*POINT)))
            assert iou(mask_in_force(planner, "part 7"), expected) > 0.97
            expect(page.locator(".class")).to_have_count(2)
