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
from planner import Planner, image_message, pixels, repeating, running_node, wait_until
from studio_node import running_studio
from test_keep import HEIGHT, WIDTH, image_of

from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.studio.frames import jpeg_of
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.types import Box

IMAGE = image_of(("red", 10, 10))
POINT = (70.5, 50.5)
BOX = Box(20, 30, 24, 16)


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


def masks_of(model: str) -> list[np.ndarray]:
    """The masks of the point and of the box in the image that the page has: a JPEG."""
    decoded = cv2.imdecode(np.frombuffer(jpeg_of(IMAGE), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    prompter = mask_prompter_of(load_segmenter(model, LoadOptions(device="cpu")))
    prompts = [MaskPrompt((MarkedPoint(POINT[0] + 0.5, POINT[1] + 0.5),)), MaskPrompt((), BOX)]
    image = np.ascontiguousarray(decoded)
    return [
        full_mask(detected.mask, detected.box, (HEIGHT, WIDTH))
        for detected in prompter.masks_of_prompts(image, prompts)
    ]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def keep(page: Any, name: str, mark: Any) -> None:
    """Mark an object and keep it; once more when the image has become too old on a busy machine."""

    def is_kept() -> bool:
        mark()
        panel = page.get_by_role("group", name="The marked object")
        expect(panel).to_contain_text("The model's mask of it.")
        panel.get_by_label("Class of the marked object").fill(name)
        panel.get_by_role("button", name="Keep this one").click()
        expect(page.locator("#message")).not_to_have_text("")
        return "is followed from now on" in page.locator("#message").text_content()

    wait_until(is_kept, f"{name} to be kept")
    expect(page.get_by_role("group", name="The marked object")).to_be_hidden()


def kept_mask(planner: Planner, name: str) -> np.ndarray:
    [target] = [each for each in planner.get_vocabulary().classes if each.name == name]
    [exemplar] = target.exemplars
    mask: np.ndarray = pixels(exemplar.mask) > 0
    return mask


def test_a_point_and_a_box_get_the_mask_models_masks_and_are_kept(tmp_path: Path) -> None:
    write_owlv2(tmp_path / "owlv2", small_owlv2_config(), words=("red",), seed=1)
    write_sam2(tmp_path / "sam2", small_sam2_video_config(), seed=3)
    model = f"{tmp_path / 'owlv2'} + {tmp_path / 'sam2'}"
    of_point, of_box = masks_of(model)
    assert of_point.sum() > 4 and of_box.sum() > 4 and iou(of_point, of_box) < 0.95
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
            repeating(lambda: publisher.publish(image_message(IMAGE)), 5),
            running_studio() as access,
            opened_page(browser, access.link, viewport={"width": 1280, "height": 900}) as page,
        ):
            expect(page.locator(".tile .numbers")).to_contain_text("96×64")
            canvas = page.locator("canvas").first

            def at(x: float, y: float) -> tuple[float, float]:
                box = canvas.bounding_box()
                return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]

            def drag() -> None:
                page.mouse.move(*at(BOX.left + 0.2, BOX.top + 0.2))
                page.mouse.down()
                page.mouse.move(
                    *at(BOX.left + BOX.width - 0.2, BOX.top + BOX.height - 0.2), steps=4
                )
                page.mouse.up()

            keep(page, "part 7", lambda: page.mouse.click(*at(*POINT)))
            assert iou(kept_mask(planner, "part 7"), of_point) > 0.97
            expect(page.locator(".class")).to_have_count(2)
            keep(page, "part 8", drag)
            assert iou(kept_mask(planner, "part 8"), of_box) > 0.97
            expect(page.locator(".class")).to_have_count(3)
