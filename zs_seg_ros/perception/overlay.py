"""Draws detections on the image: each class in its colour, each object with outline, name, score and track id."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, DetectedObject, Label, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

# Hershey's strokes come with OpenCV, need no font file and take 0.1 ms a name. They are ASCII only,
# and so is the font that comes with Pillow.
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = (1 + 5**0.5) / 2
_SHADES = ((0.85, 1.0), (0.45, 1.0), (0.6, 0.8), (0.95, 0.65), (1.0, 0.85))
"""(saturation, value) in 0..1, in the order in which the first 40 ids are furthest apart in CIELAB."""
_SMALLEST_TAGGED_SHARE = 0.0005
"""Objects that cover a smaller share of the image get no tag: 38 pixels at 320x240."""
_TAKEN = np.iinfo(np.int64).max


def draw_overlay(
    image: RgbImage, label: Label, objects: Sequence[DetectedObject], vocabulary: Vocabulary
) -> NDArray[np.uint8]:
    """Return a new (H, W, 3) uint8 RGB image: `image` with the label image and the detections drawn on it.

    label: (H, W), as in `Segmentation`. Each class is tinted with `class_colour` and outlined. A tag beside each object
    has its name, its score and, when it is tracked, its track id; the first objects get the best places, and a tag
    without a free place is left out. The inputs are not changed. Raises ValueError when the sizes differ.
    """
    if image.shape[:2] != label.shape:
        raise ValueError(f"image {image.shape} and label {label.shape} differ in size")
    drawn = as_bytes(image)
    if not label.any():
        return drawn
    colours = _colour_table(65536 if label.dtype == np.uint16 else 256).take(label, axis=0)
    _tint(drawn, label, colours)
    _outline(drawn, label, colours)
    _write_tags(drawn, objects, vocabulary)
    return drawn


def class_colour(class_id: int) -> tuple[int, int, int]:
    """Return the RGB colour, 0..255, of a class. It depends on the id alone; 0 is black.

    Multiples of the golden ratio spread over the hues without repetition; five shades distinguish
    the ids of similar hues, which are 8, 13 or 21 apart.
    """
    if class_id == 0:
        return (0, 0, 0)
    hue = (0.02 + (class_id - 1) / _GOLDEN_RATIO) % 1.0
    saturation, value = _SHADES[(class_id - 1) // 5 % len(_SHADES)]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return (red, green, blue)


@cache
def _colour_table(size: int) -> NDArray[np.uint8]:
    return np.array([class_colour(class_id) for class_id in range(size)], dtype=np.uint8)


def as_bytes(image: RgbImage) -> NDArray[np.uint8]:
    """Return a contiguous uint8 copy of an image, (H, W, 3) RGB, that may be drawn on."""
    if image.dtype.itemsize == 2:
        return (image >> 8).astype(np.uint8, order="C")
    bgr = image[..., ::-1]
    if (
        bgr.flags.c_contiguous
    ):  # an RGB view of a bgr8 message: copying it with numpy takes ten times as long
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return np.array(image, dtype=np.uint8, order="C")


def _tint(drawn: NDArray[np.uint8], label: Label, colours: NDArray[np.uint8]) -> None:
    mixed = cv2.addWeighted(drawn, 0.55, colours, 0.45, 0)
    cv2.copyTo(mixed, (label > 0).view(np.uint8), drawn)


def _outline(drawn: NDArray[np.uint8], label: Label, colours: NDArray[np.uint8]) -> None:
    """Draw borders in the full colour of the class just inside, in black just outside."""
    side = 3 if label.shape[0] < 480 else 5
    border = cv2.morphologyEx(label, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8)) > 0
    cv2.copyTo(colours, border.view(np.uint8), drawn)  # the colour of 0 is black


def _write_tags(
    drawn: NDArray[np.uint8], objects: Sequence[DetectedObject], vocabulary: Vocabulary
) -> None:
    image_height, image_width = drawn.shape[:2]
    names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
    scale = max(0.36, image_height / 900)
    thickness = 1 if scale < 0.7 else 2
    smallest = image_height * image_width * _SMALLEST_TAGGED_SHARE
    taken: list[Box] = []
    for detected in objects:
        if detected.area < smallest:
            continue
        track = f" #{detected.track_id}" if detected.track_id else ""
        text = f"{_as_ascii(names[detected.class_id])} {detected.score:.2f}{track}"
        (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thickness)
        margin = 1 + text_height // 4
        width, height = text_width + 2 * margin, text_height + below + margin
        left = detected.box.left + (detected.box.width - width) // 2
        above = Box(left, detected.box.top - height - 1, width, height)
        place = _free_place(above, taken, (image_width, image_height))
        if place is None:
            continue
        taken.append(place)
        colour = class_colour(detected.class_id)
        cv2.rectangle(drawn, (place.left, place.top, width, height), colour, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)
        start = (place.left + margin, place.top + margin + text_height - 1)
        cv2.putText(drawn, text, start, _FONT, scale, ink, thickness, cv2.LINE_AA)


def _free_place(requested: Box, taken: list[Box], image_size: tuple[int, int]) -> Box | None:
    """Return the nearest place for a tag that lies inside the image and over no other tag; None without one."""
    width, height = requested.width, requested.height
    last_left, last_top = max(0, image_size[0] - width), max(0, image_size[1] - height)
    nearest_left, nearest_top = (
        min(max(0, requested.left), last_left),
        min(max(0, requested.top), last_top),
    )
    rows = np.arange(nearest_top % (height // 2), last_top + 1, height // 2)
    columns = np.clip(nearest_left + width // 6 * np.arange(-12, 13), 0, last_left)
    squared_distance = np.add.outer((rows - nearest_top) ** 2, (columns - nearest_left) ** 2)
    if taken:
        tags = np.array([(tag.left, tag.top, tag.width, tag.height) for tag in taken])
        first = np.searchsorted(rows, tags[:, 1] - height, side="right").tolist()
        last = np.searchsorted(rows, tags[:, 1] + tags[:, 3]).tolist()
        leftmost = np.searchsorted(columns, tags[:, 0] - width, side="right").tolist()
        rightmost = np.searchsorted(columns, tags[:, 0] + tags[:, 2]).tolist()
        for top, bottom, left, right in zip(first, last, leftmost, rightmost, strict=True):
            squared_distance[top:bottom, left:right] = _TAKEN
    nearest = int(squared_distance.argmin())
    if squared_distance.flat[nearest] == _TAKEN:
        return None
    row, column = divmod(nearest, columns.size)
    return Box(int(columns[column]), int(rows[row]), width, height)


def _as_ascii(text: str) -> str:
    """Remove accents, and replace characters that the font lacks by '?'."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()
