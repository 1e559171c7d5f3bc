# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The golden file: the results of a node when they were good.

A ZIP archive, so that people can look into it:

    labels/CAMERA/INDEX.png   label images; a pixel is the number of a class, from 1, in golden.json; 0 is background
    objects.jsonl             a line for each frame: camera, index, stamp and objects
    golden.json               the model, classes, cameras and settings that the results were made with

The same results give the same bytes: members have no times, and their order is that of the frames. The mask of an
object is written (as run lengths) only where it differs from the pixels of its class in its box.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.errors import FileError, ReplayError
from zs_seg_ros.files import NewFile, open_regular_file
from zs_seg_ros.perception.masks import encode_runs
from zs_seg_ros.perception.overlay import class_colour
from zs_seg_ros.replay import golden_content as content
from zs_seg_ros.replay.results import WHOLE, FrameResult, ObjectResult, RunSettings
from zs_seg_ros.shown import quoted, shown

_SETTINGS, _OBJECTS = "golden.json", "objects.jsonl"
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_LAST_PALETTE_NUMBER = 255


def is_golden_file(path: Path) -> bool:
    """Return whether --update may replace a file: it is empty, or a golden file of any version."""
    try:
        with open_regular_file(path) as file:
            if not file.read(1):
                return True
            with zipfile.ZipFile(file) as archive:
                heading = content.member(archive, _SETTINGS, content.MOST_HEADING_BYTES)
                return bool(content.parse_json(heading)["format"] == content.FORMAT)
    except Exception:  # the readers of ZIP and JSON raise many types for other files
        return False


class GoldenWriter:
    """Writes a golden file frame by frame; use it with `with`. Nothing is replaced before `finish`.

    Label images go to the disk at once; the lines about objects, some hundred bytes a frame, are kept until the end.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        """Open the file. Raises ReplayError when it cannot be written, or exists and is no golden file."""
        self._path = path
        self._numbers = {name: number for number, name in enumerate(classes, start=1)}
        self._lines: list[str] = []
        try:
            self._file = NewFile(path, is_golden_file)
        except FileError as error:
            raise ReplayError(str(error)) from error
        self._archive = zipfile.ZipFile(self._file.stream, "w")

    def __enter__(self) -> GoldenWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._archive.close()  # a second time does nothing
        except (OSError, ValueError):  # a full disk, which has been reported
            pass
        finally:
            self._file.__exit__(*exception)

    def add(self, frame: FrameResult) -> None:
        """Add the results of one frame. Raises ReplayError when they cannot be written or are too large to be read."""
        line = {
            "camera": frame.camera,
            "index": frame.index,
            "stamp_ns": frame.stamp_ns,
            "objects": [self._object(detected, frame.label) for detected in frame.objects],
        }
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        mask_pixels = sum(detected.mask.size for detected in frame.objects)
        if (
            frame.label.size > content.MOST_PIXELS
            or mask_pixels > content.MOST_MASK_PIXELS
            or len(text.encode()) > content.MOST_LINE_BYTES
        ):
            height, width = frame.label.shape
            raise ReplayError(
                f"image {frame.index} of {frame.camera} ({width}x{height}, {len(frame.objects)} objects) is too "
                "large for a golden file"
            )
        self._lines.append(text)
        try:
            self._write(
                _label_name(frame.camera, frame.index), _png(frame.label), zipfile.ZIP_STORED
            )
        except OSError as error:
            raise self._unwritable(error) from error

    def finish(self, settings: RunSettings) -> None:
        """Write the settings and move the file to its path. Raises ReplayError when it cannot be written."""
        heading = {"format": content.FORMAT, "version": content.VERSION, **asdict(settings)}
        heading["classes"] = [content.class_entry(target) for target in settings.classes]
        if settings.span == WHOLE:
            del heading["span"]  # which earlier versions do not write
        text = json.dumps(heading, ensure_ascii=False, indent=1, sort_keys=True).encode()
        lines = "\n".join(self._lines).encode()
        if len(text) > content.MOST_HEADING_BYTES or len(lines) > content.MOST_LINES_BYTES:
            raise ReplayError(
                f"{self._path} would hold more than a golden file can; use --every, or fewer classes"
            )
        try:
            self._write(_OBJECTS, lines, zipfile.ZIP_DEFLATED)
            self._write(_SETTINGS, text, zipfile.ZIP_DEFLATED)
            self._archive.close()
            self._file.finish()
        except OSError as error:
            raise self._unwritable(error) from error
        except FileError as error:
            raise ReplayError(str(error)) from error

    def _unwritable(self, error: OSError) -> ReplayError:
        return ReplayError(f"{self._path} cannot be written: {error.strerror}")

    def _write(self, name: str, content: bytes, compression: int) -> None:
        member = zipfile.ZipInfo(name, _NO_TIME)
        member.create_system = 3  # Unix, wherever it is written
        member.external_attr = 0o644 << 16
        self._archive.writestr(member, content, compression, compresslevel=9)

    def _object(self, detected: ObjectResult, label: NDArray[np.uint16]) -> dict[str, Any]:
        box = detected.box
        line: dict[str, Any] = {
            "class": detected.class_name,
            "score": detected.score,
            "box": [box.left, box.top, box.width, box.height],
            "track": detected.track_id,
        }
        if detected.position_m is not None:
            line["position"] = list(detected.position_m)
        number = self._numbers[detected.class_name]
        if not np.array_equal(detected.mask, content.inside(label, box) == number):
            line["mask"] = encode_runs(detected.mask).tolist()
        return line


class Golden:
    """An opened golden file; use it with `with`. Frames are read one by one.

    The file is untrusted: its content is checked and bounded, and only settings that change results are accepted.
    """

    def __init__(self, path: Path) -> None:
        """Open a golden file. Raises ReplayError when it does not exist or is no golden file."""
        self.path = path
        try:
            self._file = open_regular_file(path)
        except FileNotFoundError:
            raise ReplayError(
                f"there is no golden file {path}; make it with --update, from a node whose results are good"
            ) from None
        except FileError as error:
            raise ReplayError(str(error)) from error
        try:
            self._archive = zipfile.ZipFile(self._file)
            heading = content.member(self._archive, _SETTINGS, content.MOST_HEADING_BYTES)
            self.settings = content.run_settings(content.parse_json(heading))
            self._lines = self._index()
        except Exception as error:  # see is_golden_file
            self._file.close()
            raise ReplayError(
                f"{path} is no golden file, or is damaged ({_reason(error)}); remove it and make it anew with --update"
            ) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Golden:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()
        self._file.close()

    def frame_count(self, cameras: Collection[str]) -> int:
        """Return the number of frames of these cameras."""
        return sum(camera in cameras for camera, _ in self._lines)

    def frame(self, camera: str, index: int) -> FrameResult | None:
        """Return the results of a frame, None where it has no such frame. Raises ReplayError when it is damaged."""
        text = self._lines.get((camera, index))
        if text is None:
            return None
        try:
            line = content.parse_json(text)
            data = content.member(
                self._archive, _label_name(camera, index), content.MOST_LABEL_BYTES
            )
            names = self.settings.names
            label = content.decode_label(data, len(names))
            objects = content.frame_objects(line, label, names)
            return FrameResult(camera, index, content.frame_stamp(line), label, objects)
        except Exception as error:  # see is_golden_file
            raise ReplayError(
                f"{self.path} is damaged at image {index} of {camera} ({_reason(error)}); make it anew with --update"
            ) from error

    def _index(self) -> dict[tuple[str, int], bytes]:
        data = content.member(self._archive, _OBJECTS, content.MOST_LINES_BYTES)
        if data.count(b"\n") > len(self._archive.namelist()):
            raise ValueError(f"{_OBJECTS} has more lines than there are label images")
        lines = {content.frame_key(line): line for line in data.split(b"\n") if line}
        for camera, _ in lines:
            if camera not in {known.name for known in self.settings.cameras}:
                raise ValueError(f"{_OBJECTS} has the unknown camera {quoted(camera)}")
        return lines


def _reason(error: Exception) -> str:
    """Return the reason of an error in words; the text of a KeyError is only the key."""
    if isinstance(error, KeyError):
        return f"{quoted(error.args[0] if error.args else '')} is missing"
    return shown(str(error) or type(error).__name__, 200)


def _label_name(camera: str, index: int) -> str:
    return f"labels/{camera}/{index:06d}.png"


def _png(label: NDArray[np.uint16]) -> bytes:
    """Encode a label image as PNG, with a palette of class colours if its numbers are at most 255."""
    if label.max(initial=0) <= _LAST_PALETTE_NUMBER:
        image = Image.fromarray(label.astype(np.uint8))
        colours = range(int(label.max(initial=0)) + 1)
        image.putpalette([value for number in colours for value in class_colour(number)])
    else:
        image = Image.fromarray(label)
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
