# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Cameras of every kind in the page, with results: encodings, compressed images, several beside each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from browser import opened_page
from numpy.typing import NDArray
from planner import Planner, image_message, repeating, running_node, stamp, stripes, wait_until
from sensor_msgs.msg import CompressedImage
from studio_node import running_studio
from test_compressed import encoded

from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.studio.access import Access

COLOURS = stripes("red", "blue", "green", height=120, width=80)
GREYS = stripes("black", "white", "grey", height=120, width=80)
ALPHA = np.full((120, 240, 1), 255, np.uint8)


def mosaic(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One value a pixel: red and green in even rows, green and blue in odd ones."""
    values = image[..., 1].copy()
    values[::2, ::2] = image[::2, ::2, 0]
    values[1::2, 1::2] = image[1::2, 1::2, 2]
    return values


IMAGES: dict[str, tuple[NDArray[Any], str]] = {
    "rgba8": (np.dstack([COLOURS, ALPHA]), "blue"),
    "bgra8": (np.dstack([COLOURS[..., ::-1], ALPHA]), "blue"),
    "bgr8": (COLOURS[..., ::-1], "blue"),
    "rgb16": (COLOURS.astype(np.uint16) << 8, "blue"),
    "bayer_rggb8": (mosaic(COLOURS), "blue"),
    "mono8": (GREYS[..., 0], "white"),
    "mono16": (GREYS[..., 0].astype(np.uint16) << 8, "white"),
}
"""By their encodings, each with the class in its middle."""


@pytest.fixture(scope="module")
def planner(browser: Any) -> Iterator[Planner]:
    with running_node({"cameras": ["camera", "jpeg"], "jpeg.transport": "compressed"}) as planner:
        planner.set_vocabulary("blue", "white")
        yield planner


@pytest.fixture(scope="module")
def access(planner: Planner) -> Iterator[Access]:
    with running_studio() as access:
        yield access


@pytest.fixture
def page(browser: Any, access: Access) -> Iterator[Any]:
    with opened_page(browser, access.link, viewport={"width": 1280, "height": 900}) as page:
        page.get_by_label("Opacity").fill("0")  # colours are those of the image
        yield page


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)


@contextmanager
def camera(planner: Planner, image: NDArray[Any], encoding: str) -> Iterator[None]:
    publisher = planner.node.create_publisher(type(image_message(COLOURS)), "/camera/image_raw", 10)
    with repeating(lambda: publisher.publish(image_message(image, encoding)), 10):
        yield
    planner.node.destroy_publisher(publisher)


@contextmanager
def jpeg_camera(planner: Planner, image: NDArray[np.uint8]) -> Iterator[None]:
    topic = "/jpeg/image_raw/compressed"
    publisher = planner.node.create_publisher(CompressedImage, topic, 10)
    data = encoded(image[..., ::-1], ".jpg")

    def publish() -> None:
        message = CompressedImage(format="jpeg", data=data)
        stamp(message, time.time_ns())
        publisher.publish(message)

    with repeating(publish, 10):
        yield
    planner.node.destroy_publisher(publisher)


def assert_shown(page: Any, name: str, since_ns: int, camera: str = "camera") -> None:
    """The tile of a camera has an image of now, its class in the list, and its colour in the middle."""
    tile = page.get_by_role("figure", name=f"Camera {camera}")
    wait_until(
        lambda: (
            int(tile.get_attribute("data-stamp") or 0) >= since_ns
            and tile.get_attribute("data-version")
        ),
        "a result for an image of now",
    )
    expect(tile.locator("tbody")).to_contain_text(f"{name} ")
    drawn = tile.locator("canvas").evaluate(
        "each => [...each.getContext('2d').getImageData(each.width / 2, each.height * 0.9, 1, 1).data].slice(0, 3)"
    )
    assert np.abs(np.subtract(drawn, PALETTE[name])).max() < 16


@pytest.mark.parametrize("encoding", list(IMAGES))
def test_each_encoding_is_shown_in_its_colours_with_its_objects(
    planner: Planner, page: Any, encoding: str
) -> None:
    image, name = IMAGES[encoding]
    since_ns = time.time_ns()
    with camera(planner, image, encoding):
        assert_shown(page, name, since_ns)


def test_a_depth_image_is_refused_in_one_sentence_until_a_colour_image_comes(
    planner: Planner, page: Any
) -> None:
    with camera(planner, np.full((120, 240), 1000, np.uint16), "16UC1"):
        expect(page.locator("#problem")).to_contain_text(
            "camera: an image with the encoding 16UC1 is dropped: it is a depth image on a colour topic"
        )
    since_ns = time.time_ns()
    with camera(planner, COLOURS, "rgb8"):
        assert_shown(page, "blue", since_ns)
        expect(page.locator("#problem")).to_be_hidden()


def test_raw_and_compressed_cameras_are_tiles_beside_each_other(
    planner: Planner, page: Any
) -> None:
    since_ns = time.time_ns()
    with camera(planner, COLOURS, "rgb8"), jpeg_camera(planner, GREYS):
        page.get_by_role("checkbox", name="jpeg").check()
        assert_shown(page, "blue", since_ns)
        assert_shown(page, "white", since_ns, "jpeg")
        boxes = [page.locator(".tile").nth(place).bounding_box() for place in (0, 1)]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
