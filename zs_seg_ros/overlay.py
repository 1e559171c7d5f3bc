"""Pictures for people: each class in its colour, with outline, name and score."""

from __future__ import annotations

import colorsys
import unicodedata
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Picture
from zs_seg_ros.vocabulary import Vocabulary

# Hershey's strokes come with OpenCV, need no font file and take 0.1 ms a name. They are ASCII only,
# and so is the font that comes with Pillow.
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = (1 + 5**0.5) / 2
_SHADES = ((0.85, 1.0), (0.45, 1.0), (0.6, 0.8), (0.95, 0.65), (1.0, 0.85))
"""(saturation, value), in the order that keeps the first 40 ids furthest apart in CIELAB."""
Label = NDArray[np.uint8] | NDArray[np.uint16]
_SMALLEST_TAGGED_SHARE = 0.0005
"""Of the picture: smaller regions get no tag. 38 pixels at 320x240."""


def draw_overlay(
    picture: Picture,
    label: Label,
    confidence: NDArray[np.uint8],
    vocabulary: Vocabulary,
) -> NDArray[np.uint8]:
    """A new (H, W, 3) uint8 RGB picture: `picture` with what was found in it.

    label and confidence: (H, W), as in `Segmentation`. Each class is tinted with `class_colour` and
    outlined; its name and the mean confidence there are written beside its largest region. A tag
    that finds no free place is left out. The inputs stay as they are. Raises ValueError when the
    sizes differ.
    """
    if not picture.shape[:2] == label.shape == confidence.shape:
        raise ValueError(
            f"picture {picture.shape}, label {label.shape} and confidence {confidence.shape} "
            "differ in size"
        )
    drawn = _as_bytes(picture)
    if not label.any():
        return drawn
    colours = _colour_table(65536 if label.dtype == np.uint16 else 256).take(label, axis=0)
    _tint(drawn, label, colours)
    _outline(drawn, label, colours)
    _write_tags(drawn, label, confidence, vocabulary)
    return drawn


def class_colour(class_id: int) -> tuple[int, int, int]:
    """RGB of a class, by its id alone: a name keeps its colour while it keeps its id. 0 is black.

    The golden ratio's multiples spread over the hues and never repeat; five shades keep classes
    apart that come close in hue again, 8, 13 or 21 ids later.
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


def _as_bytes(picture: Picture) -> NDArray[np.uint8]:
    """A contiguous copy that may be drawn on."""
    if picture.dtype.itemsize == 2:
        return (picture >> 8).astype(np.uint8, order="C")
    bgr = picture[..., ::-1]
    if bgr.flags.c_contiguous:  # a bgr8 message, viewed as RGB: numpy takes ten times as long
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return np.array(picture, dtype=np.uint8, order="C")


def _tint(drawn: NDArray[np.uint8], label: Label, colours: NDArray[np.uint8]) -> None:
    mixed = cv2.addWeighted(drawn, 0.55, colours, 0.45, 0)
    cv2.copyTo(mixed, (label > 0).view(np.uint8), drawn)


def _outline(drawn: NDArray[np.uint8], label: Label, colours: NDArray[np.uint8]) -> None:
    """The class's full colour just inside its border, black just outside."""
    side = 3 if label.shape[0] < 480 else 5
    border = cv2.morphologyEx(label, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8)) > 0
    cv2.copyTo(colours, border.view(np.uint8), drawn)  # the colour of 0 is black


@dataclass(frozen=True)
class _Box:
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class _Region:
    """A class's largest connected region: the box around it in the picture, its mean confidence."""

    box: _Box
    score: float


def _write_tags(
    drawn: NDArray[np.uint8],
    label: Label,
    confidence: NDArray[np.uint8],
    vocabulary: Vocabulary,
) -> None:
    picture_height, picture_width = label.shape
    scale = max(0.36, picture_height / 900)
    thickness = 1 if scale < 0.7 else 2
    step = max(1, picture_height // 240)  # all pixels of a large picture would only be slower
    regions = _largest_regions(label[::step, ::step], confidence[::step, ::step], step)
    taken: list[_Box] = []
    for class_id, name in zip(vocabulary.ids, vocabulary.names, strict=True):
        if class_id not in regions:
            continue
        region = regions[class_id]
        text = f"{_as_ascii(name)} {region.score:.2f}"
        (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thickness)
        margin = 1 + text_height // 4
        width, height = text_width + 2 * margin, text_height + below + margin
        left = region.box.left + (region.box.width - width) // 2
        above = _Box(left, region.box.top - height - 1, width, height)
        place = _free_place(above, taken, (picture_width, picture_height))
        if place is None:
            continue
        taken.append(place)
        colour = class_colour(class_id)
        cv2.rectangle(drawn, (place.left, place.top, width, height), colour, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)
        start = (place.left + margin, place.top + margin + text_height - 1)
        cv2.putText(drawn, text, start, _FONT, scale, ink, thickness, cv2.LINE_AA)


def _largest_regions(label: Label, confidence: NDArray[np.uint8], step: int) -> dict[int, _Region]:
    """By class id; tiny regions are left out. label and confidence have every `step`-th pixel."""
    # One pass for all classes: without the pixels that differ from the one to their right or below
    # them, regions of different classes never touch.
    inside = label > 0
    inside[:, :-1] &= label[:, :-1] == label[:, 1:]
    inside[:-1] &= label[:-1] == label[1:]
    _, part_of_pixel, stats, _ = cv2.connectedComponentsWithStats(
        inside.view(np.uint8), connectivity=4
    )
    areas = stats[1:, cv2.CC_STAT_AREA]
    large_enough = 1 + np.flatnonzero(areas >= label.size * _SMALLEST_TAGGED_SHARE)
    largest_first = large_enough[np.argsort(-areas[large_enough - 1], kind="stable")]
    regions: dict[int, _Region] = {}
    for part in largest_first.tolist():
        left, top, width, height = (int(value) for value in stats[part, :4])
        class_id = int(
            label[top, left + part_of_pixel[top, left : left + width].tolist().index(part)]
        )
        if class_id not in regions:
            box = slice(top, top + height + 1), slice(left, left + width + 1)
            score = float(confidence[box][label[box] == class_id].mean()) / 255
            in_picture = _Box(left * step, top * step, width * step, height * step)
            regions[class_id] = _Region(in_picture, score)
    return regions


def _free_place(wanted: _Box, taken: list[_Box], picture_size: tuple[int, int]) -> _Box | None:
    """The nearest place for a tag that lies inside the picture and over no other tag."""
    width, height = wanted.width, wanted.height
    last_left, last_top = max(0, picture_size[0] - width), max(0, picture_size[1] - height)
    wanted_left, wanted_top = min(max(0, wanted.left), last_left), min(max(0, wanted.top), last_top)
    rows = np.arange(wanted_top % (height // 2), last_top + 1, height // 2)
    columns = np.clip(wanted_left + width // 6 * np.arange(-12, 13), 0, last_left)
    top, left = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    distance = np.hypot(top - wanted_top, left - wanted_left)
    for tag in taken:
        across = (left < tag.left + tag.width) & (tag.left < left + width)
        down = (top < tag.top + tag.height) & (tag.top < top + height)
        distance[across & down] = np.inf
    nearest = int(distance.argmin())
    if np.isinf(distance[nearest]):
        return None
    return _Box(int(left[nearest]), int(top[nearest]), width, height)


def _as_ascii(text: str) -> str:
    """Without accents, and '?' for what the font does not have."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()
