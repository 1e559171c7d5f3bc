# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Draws detections on the image: each class in its colour, each object with outline, name, score and track id."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.label_layout import Point, lay_out
from zs_seg_ros.types import Box, DetectedObject, Label, RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

# Hershey's strokes come with OpenCV, need no font file and take 0.1 ms a name. They are ASCII only,
# and so is the font that comes with Pillow.
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = (1 + 5**0.5) / 2
_SHADES = ((0.85, 1.0), (0.45, 1.0), (0.6, 0.8), (0.95, 0.65), (1.0, 0.85))
"""(saturation, value) in 0..1, in the order in which the first 40 ids are furthest apart in CIELAB."""
_SMALLEST_LABELLED_SHARE = 0.0005
"""Objects that cover a smaller share of the image get no label: 38 pixels at 320x240."""
_LONGEST_LABEL_SHARE = 0.6
"""Of the image's width; longer names are cut."""

Colour = tuple[int, int, int]
"""RGB, 0..255."""


def draw_overlay(
    image: RgbImage, label: Label, objects: Sequence[DetectedObject], vocabulary: Vocabulary
) -> NDArray[np.uint8]:
    """Return a new (H, W, 3) uint8 RGB image: `image` with the label image and the detections drawn on it.

    label: (H, W), as in `Segmentation`. Each class is tinted with `class_colour` and outlined. A label with its name,
    its score and, when it is tracked, its track id is beside each object, connected to it by a line, or an entry of a
    legend with a letter on the object (`lay_out`). The inputs are not changed.
    Raises ValueError when the sizes differ.
    """
    if image.shape[:2] != label.shape:
        raise ValueError(f"image {image.shape} and label {label.shape} differ in size")
    drawn = as_bytes(image)
    if not label.any():
        return drawn
    colours = _colour_table(65536 if label.dtype == np.uint16 else 256).take(label, axis=0)
    _tint(drawn, label, colours)
    _outline(drawn, label, colours)
    _write_labels(drawn, objects, vocabulary)
    return drawn


def class_colour(class_id: int) -> Colour:
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


def _write_labels(
    drawn: NDArray[np.uint8], objects: Sequence[DetectedObject], vocabulary: Vocabulary
) -> None:
    """Write the labels. All lines are below all labels."""
    font = _Font(drawn.shape[0])
    names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
    smallest = drawn.shape[0] * drawn.shape[1] * _SMALLEST_LABELLED_SHARE
    large = [detected for detected in objects if detected.area >= smallest]
    longest = int(_LONGEST_LABEL_SHARE * drawn.shape[1])
    plain = [_as_ascii(names[detected.class_id]) for detected in large]
    texts = [font.shortened(n, _numbers_of(d), longest) for n, d in zip(plain, large, strict=True)]
    short = [font.shortened(name, "", longest) for name in plain]
    labels = lay_out(large, texts, short, size_of(drawn), font.label_size)
    colours = [class_colour(large[label.index].class_id) for label in labels]
    for label, colour in zip(labels, colours, strict=True):
        if label.line:
            _draw_line(drawn, *label.line, colour)
    for label, colour in zip(labels, colours, strict=True):
        font.write(drawn, label.text, label.box, colour)


def _numbers_of(detected: DetectedObject) -> str:
    track = f" #{detected.track_id}" if detected.track_id else ""
    return f" {detected.score:.2f}{track}"


def _draw_line(drawn: NDArray[np.uint8], start: Point, end: Point, colour: Colour) -> None:
    width = 1 if drawn.shape[0] < 480 else 2
    cv2.line(drawn, start, end, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.circle(drawn, end, width + 2, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
    cv2.line(drawn, start, end, colour, width, cv2.LINE_AA)
    cv2.circle(drawn, end, width + 1, colour, cv2.FILLED, cv2.LINE_AA)


class _Font:
    """Measures and writes labels that are readable on an image of a height."""

    def __init__(self, image_height: int) -> None:
        self._scale = max(0.36, image_height / 900)
        self._thickness = 1 if self._scale < 0.7 else 2
        (_, self._height), self._below = self._extent("X")
        self._margin = 1 + self._height // 4

    def _extent(self, text: str) -> tuple[tuple[int, int], int]:
        (width, height), below = cv2.getTextSize(text, _FONT, self._scale, self._thickness)
        return (width, height), below

    def label_size(self, text: str) -> tuple[int, int]:
        """Return width and height, in pixels, of a label with a text."""
        (width, _), _ = self._extent(text)
        return width + 2 * self._margin, self._height + self._below + self._margin

    def shortened(self, name: str, rest: str, longest: int) -> str:
        """Return name and rest; a name that makes the label wider than `longest` pixels is cut."""
        if self.label_size(name + rest)[0] <= longest:
            return name + rest
        end = len(name)
        while end and self.label_size(f"{name[:end]}..{rest}")[0] > longest:
            end -= 1 + end // 8
        return f"{name[:end]}..{rest}"

    def write(self, drawn: NDArray[np.uint8], text: str, box: Box, colour: Colour) -> None:
        """Write a label: the text in black or white on the colour."""
        corner = (box.left, box.top, box.width, box.height)
        cv2.rectangle(drawn, corner, colour, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)
        start = (box.left + self._margin, box.top + self._margin + self._height - 1)
        cv2.putText(drawn, text, start, _FONT, self._scale, ink, self._thickness, cv2.LINE_AA)


def _as_ascii(text: str) -> str:
    """Remove accents, and replace characters that the font lacks by '?'."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()
