"""The golden file: what a node answered when its answers were good.

A ZIP archive, so that people can look into it:

    labels/CAMERA/INDEX.png   label images; a pixel is the number of a class, from 1, in golden.json; 0 is nothing
    objects.jsonl             a line a frame: camera, index, stamp and objects
    golden.json               what it was made with

The same results give the same bytes: members have no times, and their order is that of the frames. An object's mask
is written (as run lengths) only where it is not just the pixels of its class in its box.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.errors import ReplayError
from zs_seg_ros.perception.masks import decode_runs, encode_runs
from zs_seg_ros.perception.overlay import class_colour
from zs_seg_ros.replay.results import CameraSettings, FrameResult, ObjectResult, RunSettings
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import TargetClass

FORMAT, VERSION = "golden results of zs_seg_ros", 1
_SETTINGS, _OBJECTS = "golden.json", "objects.jsonl"
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_LAST_PALETTE_NUMBER = 255


class GoldenWriter:
    """Writes a golden file frame by frame; use it with `with`. Nothing is replaced before `finish`.

    Label images go to the disk at once; the lines about objects, some hundred bytes a frame, are kept until the end.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        """Raises ReplayError when the file cannot be written."""
        self._path = path
        self._numbers = {name: number for number, name in enumerate(classes, start=1)}
        self._part = path.with_name(f"{path.name}.part")
        self._lines: list[str] = []
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise ReplayError(f"{path} cannot be written: {error.strerror}") from error
        self._archive = zipfile.ZipFile(self._file, "w")

    def __enter__(self) -> GoldenWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()  # a second time does nothing
        self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, frame: FrameResult) -> None:
        self._write(_label_name(frame.camera, frame.index), _png(frame.label), zipfile.ZIP_STORED)
        line = {
            "camera": frame.camera,
            "index": frame.index,
            "stamp_ns": frame.stamp_ns,
            "objects": [self._object(thing, frame.label) for thing in frame.objects],
        }
        self._lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))

    def finish(self, settings: RunSettings) -> None:
        """Put the file in place. Raises ReplayError when it cannot be written."""
        heading = {"format": FORMAT, "version": VERSION, **asdict(settings)}
        heading["classes"] = [
            {"name": c.name, "prompts": list(c.prompts), "threshold": c.threshold}
            for c in settings.classes
        ]
        text = json.dumps(heading, ensure_ascii=False, indent=1, sort_keys=True)
        try:
            self._write(_OBJECTS, "\n".join(self._lines).encode(), zipfile.ZIP_DEFLATED)
            self._write(_SETTINGS, text.encode(), zipfile.ZIP_DEFLATED)
            self._archive.close()
            self._file.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise ReplayError(f"{self._path} cannot be written: {error.strerror}") from error

    def _write(self, name: str, content: bytes, compression: int) -> None:
        member = zipfile.ZipInfo(name, _NO_TIME)
        member.create_system = 3  # Unix, wherever it is written
        member.external_attr = 0o644 << 16
        self._archive.writestr(member, content, compression, compresslevel=9)

    def _object(self, thing: ObjectResult, label: NDArray[np.uint16]) -> dict[str, Any]:
        box = thing.box
        line: dict[str, Any] = {
            "class": thing.class_name,
            "score": thing.score,
            "box": [box.left, box.top, box.width, box.height],
            "track": thing.track_id,
        }
        if thing.position_m is not None:
            line["position"] = list(thing.position_m)
        number = self._numbers[thing.class_name]
        if not np.array_equal(thing.mask, _inside(label, box) == number):
            line["mask"] = encode_runs(thing.mask).tolist()
        return line


class Golden:
    """An opened golden file; use it with `with`. Frames are read one by one."""

    def __init__(self, path: Path) -> None:
        """Raises ReplayError when there is none, or it is something else."""
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
            self.settings = _settings(json.loads(self._archive.read(_SETTINGS)))
            self._lines = self._index(self._archive.read(_OBJECTS).splitlines())
        except FileNotFoundError:
            raise ReplayError(
                f"there is no golden file {path}; make it with --update, from a node whose results are good"
            ) from None
        except (
            OSError,
            zipfile.BadZipFile,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            raise ReplayError(
                f"{path} is no golden file, or is damaged ({error}); make it anew with --update"
            ) from error

    def __enter__(self) -> Golden:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()

    def frame_count(self, cameras: Collection[str]) -> int:
        """Frames of these cameras."""
        return sum(camera in cameras for camera, _ in self._lines)

    def frame(self, camera: str, index: int) -> FrameResult | None:
        """None where it has no such frame. Raises ReplayError when the file is damaged."""
        text = self._lines.get((camera, index))
        if text is None:
            return None
        try:
            line = json.loads(text)
            with Image.open(BytesIO(self._archive.read(_label_name(camera, index)))) as image:
                label = np.array(image).astype(np.uint16)
            objects = tuple(self._object(entry, label) for entry in line["objects"])
            return FrameResult(camera, index, int(line["stamp_ns"]), label, objects)
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise ReplayError(
                f"{self.path} is damaged at image {index} of {camera} ({error}); make it anew with --update"
            ) from error

    def _index(self, lines: Sequence[bytes]) -> dict[tuple[str, int], bytes]:
        heads = (json.loads(line) for line in lines)
        return {
            (str(h["camera"]), int(h["index"])): line for h, line in zip(heads, lines, strict=True)
        }

    def _object(self, entry: dict[str, Any], label: NDArray[np.uint16]) -> ObjectResult:
        box = Box(*entry["box"])
        if "mask" in entry:
            mask = decode_runs(entry["mask"], box.height, box.width)
        else:
            mask = _inside(label, box) == self.settings.names.index(entry["class"]) + 1
        position = tuple(entry["position"]) if "position" in entry else None
        return ObjectResult(
            entry["class"], float(entry["score"]), box, mask, int(entry["track"]), position
        )


def _label_name(camera: str, index: int) -> str:
    return f"labels/{camera}/{index:06d}.png"


def _inside(label: NDArray[np.uint16], box: Box) -> NDArray[np.uint16]:
    return label[box.top : box.top + box.height, box.left : box.left + box.width]


def _png(label: NDArray[np.uint16]) -> bytes:
    """With a palette where the numbers allow, so that an image viewer shows the classes in colours."""
    if label.max(initial=0) <= _LAST_PALETTE_NUMBER:
        image = Image.fromarray(label.astype(np.uint8))
        colours = range(int(label.max(initial=0)) + 1)
        image.putpalette([part for number in colours for part in class_colour(number)])
    else:
        image = Image.fromarray(label)
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _settings(heading: dict[str, Any]) -> RunSettings:
    if heading["format"] != FORMAT or heading["version"] != VERSION:
        raise ValueError(f"format {heading['format']!r}, version {heading['version']!r}")
    return RunSettings(
        str(heading["recording"]),
        str(heading["model"]),
        tuple(
            TargetClass(c["name"], tuple(c["prompts"]), c["threshold"]) for c in heading["classes"]
        ),
        tuple(CameraSettings(**camera) for camera in heading["cameras"]),
        int(heading["every"]),
        dict(heading["settings"]),
    )
