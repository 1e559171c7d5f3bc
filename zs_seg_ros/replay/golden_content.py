# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Validation of the untrusted content of a golden file while it is read.

Each function raises ValueError, with the reason, for content that this package does not write.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.replay.results import (
    EXEMPLARS,
    WHOLE,
    CameraSettings,
    ObjectResult,
    RunSettings,
    Setting,
    Span,
)
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.class_ids import LAST_ID
from zs_seg_ros.vocabulary.text import invisible_character
from zs_seg_ros.vocabulary.vocabulary import MAX_SIDE_PX, TargetClass

FORMAT, VERSION = "golden results of zs_seg_ros", 1
MOST_PIXELS = 1 << 25
"""Of one label image."""
MOST_MASK_PIXELS = 1 << 29
"""Of the boxes of one image's objects together."""
MOST_HEADING_BYTES = 4 << 20
MOST_LINE_BYTES = 8 << 20
MOST_LINES_BYTES = 128 << 20
MOST_LABEL_BYTES = 64 << 20
_MOST_TIMES_SMALLER = 200
"""What deflate makes of our own members at the very most; bombs reach a thousand."""
_LONGEST_NUMBER = 40
_LABEL_MODES = {"1", "L", "P", "I", "I;16"}
_TRANSPORTS = ("raw", "compressed")
_PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")


def member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return a member of at most `limit` bytes; its size is checked before it is unpacked."""
    info = archive.getinfo(name)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{shown(name)} is encrypted, or compressed in another way")
    if info.file_size > min(limit, (1 << 20) + _MOST_TIMES_SMALLER * info.compress_size):
        raise ValueError(f"{shown(name)} unpacks to {info.file_size} bytes, which is too much")
    with archive.open(info) as stream:
        return stream.read(limit)


def parse_json(text: bytes) -> dict[str, Any]:
    """Return a JSON object; numbers that are not finite or of more than 40 characters are refused."""
    value = json.loads(
        text.decode("utf-8"), parse_int=_int, parse_float=_float, parse_constant=_float
    )
    return _dict(value, "the content")


def run_settings(heading: dict[str, Any]) -> RunSettings:
    """Return what the results were made with. Only settings that change results are accepted."""
    if heading["format"] != FORMAT or heading["version"] != VERSION:
        raise ValueError(
            f"format {quoted(heading['format'])}, version {quoted(heading['version'])}"
        )
    classes = tuple(_class(entry) for entry in _list(heading["classes"], "classes"))
    cameras = tuple(_camera(entry) for entry in _list(heading["cameras"], "cameras"))
    if len(classes) > LAST_ID or len({c.name for c in classes}) < len(classes):
        raise ValueError("it has too many classes, or one of them twice")
    if len({c.name for c in cameras}) < len(cameras):
        raise ValueError("it has a camera twice")
    return RunSettings(
        _text(heading["recording"], "recording"),
        _text(heading["model"], "model"),
        classes,
        cameras,
        _whole(heading["every"], "every", 1, 10**9),
        _parameters(_dict(heading["settings"], "settings")),
        _span(heading.get("span")),
        *(heading.get(key, "") and _text(heading[key], key) for key in ("engine", "precision")),
    )


def frame_key(line: bytes) -> tuple[str, int]:
    """Return the camera and the index of a line about objects."""
    if len(line) > MOST_LINE_BYTES:
        raise ValueError(f"a line has {len(line)} bytes")
    head = parse_json(line)
    return _text(head["camera"], "camera"), _whole(head["index"], "index", 0, 2**62)


def frame_stamp(line: dict[str, Any]) -> int:
    """Return the stamp of a line, in nanoseconds."""
    return _whole(line["stamp_ns"], "stamp_ns", -(2**63), 2**63 - 1)


def frame_objects(
    line: dict[str, Any], label: NDArray[np.uint16], names: tuple[str, ...]
) -> tuple[ObjectResult, ...]:
    """Return the objects of a line; the size of all masks together is checked before any is made."""
    entries = [_dict(entry, "an object") for entry in _list(line["objects"], "objects")]
    boxes = [_box(entry["box"], label.shape) for entry in entries]
    if sum(box.width * box.height for box in boxes) > MOST_MASK_PIXELS:
        raise ValueError(f"its {len(boxes)} objects have more than {MOST_MASK_PIXELS} pixels")
    numbers = {name: number for number, name in enumerate(names, start=1)}
    return tuple(
        _object(entry, box, label, numbers) for entry, box in zip(entries, boxes, strict=True)
    )


def decode_label(data: bytes, class_count: int) -> NDArray[np.uint16]:
    """Return the (H, W) label image of a PNG; its size is checked before it is decoded."""
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(
                f"a label image has {width}x{height} pixels; at most {MOST_PIXELS} are read"
            )
        if image.mode not in _LABEL_MODES:
            raise ValueError(f"a label image has pixels of the kind {shown(image.mode)}")
        label = np.array(image).astype(np.uint16)
    if label.max(initial=0) > class_count:
        raise ValueError(f"a label image has class {label.max()} of {class_count}")
    return label


def inside(label: NDArray[np.uint16], box: Box) -> NDArray[np.uint16]:
    """Return the pixels of a box."""
    return label[box.top : box.top + box.height, box.left : box.left + box.width]


def _object(
    entry: dict[str, Any], box: Box, label: NDArray[np.uint16], numbers: dict[str, int]
) -> ObjectResult:
    name = _text(entry["class"], "class")
    if name not in numbers:
        raise ValueError(f"an object is of the class {quoted(name)}, which it does not have")
    if "mask" in entry:
        pixels = box.width * box.height
        counts = [_whole(c, "a run of a mask", 0, pixels) for c in _list(entry["mask"], "a mask")]
        mask = decode_runs(counts, box.height, box.width)
    else:
        mask = inside(label, box) == numbers[name]
    position = None
    if "position" in entry:
        x, y, z = (_number(v, "a position") for v in _list(entry["position"], "a position"))
        position = (x, y, z)
    score = _number(entry["score"], "a score", 0, 1)
    return ObjectResult(name, score, box, mask, _whole(entry["track"], "track", 0), position)


def _box(value: Any, shape: tuple[int, ...]) -> Box:
    left, top, width, height = (
        _whole(number, "a box", 0, max(shape)) for number in _list(value, "a box")
    )
    if left + width > shape[1] or top + height > shape[0]:
        raise ValueError("a box is not within its image")
    return Box(left, top, width, height)


def class_entry(target: TargetClass) -> dict[str, Any]:
    """Return the entry of a class; fields that older versions do not read are there only where they are set."""
    entry = {"name": target.name, "prompts": list(target.prompts), "threshold": target.threshold}
    if target.negatives:
        entry["negatives"] = list(target.negatives)
    return entry


def _class(value: Any) -> TargetClass:
    entry = _dict(value, "a class")
    prompts = tuple(_text(prompt, "a prompt") for prompt in _list(entry["prompts"], "prompts"))
    negatives = _list(entry.get("negatives", []), "negatives")
    return TargetClass(
        _text(entry["name"], "a name"),
        prompts,
        _number(entry["threshold"], "a threshold", 0, 1),
        negatives=tuple(_text(negative, "a negative") for negative in negatives),
    )


def _camera(value: Any) -> CameraSettings:
    entry = _dict(value, "a camera")
    name = _text(entry["name"], "a camera's name")
    # The name becomes part of the names of parameters and topics.
    if not all(part.isidentifier() and part.isascii() for part in name.split("/")):
        raise ValueError(f"the camera {quoted(name)} is no topic name")
    depth = entry["depth_transport"]
    return CameraSettings(
        name,
        _one_of(_TRANSPORTS, entry["transport"], "transport"),
        None if depth is None else _one_of(_TRANSPORTS, depth, "depth_transport"),
    )


def _span(value: Any) -> Span:
    if value is None:
        return WHOLE
    entry = _dict(value, "span")
    first = _whole(entry["first"], "the first image", 0)
    last = entry["last"]
    return Span(first, None if last is None else _whole(last, "the last image", first))


def _parameters(values: dict[str, Any]) -> dict[str, Setting]:
    """Return the accepted parameters by name, without those that are None, which the recorded node did not have."""
    for name in values:
        if name not in _ACCEPTED:
            raise ValueError(f"it has the setting {quoted(name)}, which no golden file has")
    return {
        name: _ACCEPTED[name](value, name) for name, value in values.items() if value is not None
    }


def _bool(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{what} is {quoted(value)}")
    return value


_ACCEPTED: dict[str, Callable[[Any, str], Setting]] = {
    "default_threshold": lambda value, what: _number(value, what, 0, 1),
    "min_area": lambda value, what: _whole(value, what, 0),
    "max_objects": lambda value, what: _whole(value, what, 0),
    "track": _bool,
    "precision": lambda value, what: _one_of(_PRECISIONS, value, what),
    "inference_size": lambda value, what: _whole(value, what, 0, MAX_SIDE_PX),
    "output_scale": lambda value, what: _number(value, what, 0.001, 1),
    "mask_inference_size": lambda value, what: _whole(value, what, 0, MAX_SIDE_PX),
    EXEMPLARS: lambda value, what: _whole(value, what, 0),
}
"""The settings that a golden file may have: those that `NodeUnderTest.settings` reads, without the model."""


def _one_of(allowed: tuple[str, ...], value: Any, what: str) -> str:
    if value not in allowed:
        raise ValueError(f"{what} is {quoted(value)}, not one of {', '.join(allowed)}")
    return str(value)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 10_000 or invisible_character(value):
        raise ValueError(f"{what} is {quoted(value)}, which is no printable text")
    return value


def _whole(value: Any, what: str, least: int, most: int = 2**32 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{what} is {quoted(value)}, not a whole number of {least} to {most}")
    return value


def _number(value: Any, what: str, least: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{what} is {quoted(value)}, not a number of {least} to {most}")
    return float(value)


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {quoted(value)}, not a list")
    return value


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {quoted(value)}, not a JSON object")
    return value


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has {len(text)} characters")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a number is {shown(text)}")
    return value
