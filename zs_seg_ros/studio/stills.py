# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images that wait to be chosen: files of images, or the frames of a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import find_cameras
from zs_seg_ros.errors import BagError, ImageError, StudioError
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.image_files import SUFFIXES, read_image
from zs_seg_ros.labelling.frames import read_frames
from zs_seg_ros.labelling.plan import LabelledCamera, Slice
from zs_seg_ros.shown import shown
from zs_seg_ros.types import Frame

_FILES = "images"


@dataclass(frozen=True)
class RecordedSpan:
    """The images of one camera of a recording from `first` to `last`, counted from 0.

    times_ns: when each of them was recorded.
    """

    bag: Path
    camera: LabelledCamera
    first: int
    last: int
    times_ns: tuple[int, ...]


class Stills(Protocol):
    """The images of one or more cameras, by their places in time or in the order of their names."""

    @property
    def lengths(self) -> dict[str, int]:
        """The number of images of each camera."""
        ...

    def read(self, camera: str, index: int) -> tuple[Frame, str]:
        """Return an image, with its name. Raises ZeroShotSegmentationError for one that cannot be read."""
        ...

    def span(self, camera: str, first: int, last: int) -> RecordedSpan:
        """Return a part of a recording. Raises StudioError for one that there is not, and for files of images."""
        ...


class ImageFiles:
    """Files of images, as one camera named `images`. Raises StudioError when there are none."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [file for path in paths for file in _files_of(path)]
        if not self._files:
            raise StudioError(f"{paths[0]} holds no image ({', '.join(sorted(SUFFIXES))})")

    @property
    def lengths(self) -> dict[str, int]:
        """The number of files."""
        return {_FILES: len(self._files)}

    def read(self, camera: str, index: int) -> tuple[Frame, str]:
        """Read a file. Raises ImageError. Its stamp is its place, since files have none."""
        file = self._files[index]
        return Frame(_FILES, read_image(file), index, "", index), file.name

    def span(self, camera: str, first: int, last: int) -> RecordedSpan:
        """Refuse: files have no times to be replayed at."""
        raise StudioError(
            "a replay test is made of a recording, and these are files of images: start zs-seg studio with a recording"
        )


class RecordedImages:
    """The frames of a recording. Raises BagError when it cannot be read or has no camera. Not thread-safe."""

    def __init__(self, path: Path, cameras: Sequence[str] = ()) -> None:
        """Read the times of all images. cameras: their names, some with topics; empty: all."""
        self._bag = Bag(path)
        self._cameras = {
            camera.name: LabelledCamera(
                camera.name, camera.image, camera.depth, camera.info, camera.compressed
            )
            for camera in find_cameras(self._bag, cameras)
        }
        by_topic = {camera.image: name for name, camera in self._cameras.items()}
        self._times: dict[str, list[int]] = {name: [] for name in self._cameras}
        for message in self._bag.messages(list(by_topic)):
            self._times[by_topic[message.topic.name]].append(message.time_ns)

    @property
    def lengths(self) -> dict[str, int]:
        """The number of images of each camera."""
        return {name: len(times) for name, times in self._times.items()}

    def read(self, camera: str, index: int) -> tuple[Frame, str]:
        """Read a frame, with its depth. Raises BagError, or StudioError for an image that is damaged."""
        time_ns = self._times[camera][index]
        problems: Counter[str] = Counter()
        part = Slice(0, time_ns, time_ns + 1)
        for frame in read_frames(self._bag, [self._cameras[camera]], part, problems):
            start_ns = self._bag.start_ns
            return frame, f"{(time_ns - start_ns) / 1e9:.2f} s"
        reason = next(iter(problems), "its message is empty")
        raise StudioError(f"image {index + 1} of {camera} cannot be read: {reason}")

    def span(self, camera: str, first: int, last: int) -> RecordedSpan:
        """Return the images from `first` to `last`. Raises StudioError for a part that the recording does not have."""
        times = self._times.get(camera, [])
        if not 0 <= first <= last < len(times):
            raise StudioError(
                f"{shown(camera)} has no images {first + 1} to {last + 1}: it has 1 to {len(times)}"
            )
        part = tuple(times[first : last + 1])
        span = RecordedSpan(self._bag.folder, self._cameras[camera], first, last, part)
        _check_begins_by_itself(span)
        return span

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()


def _check_begins_by_itself(span: RecordedSpan) -> None:
    """Raise StudioError where the first image of a span is no keyframe of its video: a replay begins with it."""
    camera, times_ns = span.camera, span.times_ns
    if camera.transport != "compressed":
        return
    reader = CompressedImageReader()
    with Bag(span.bag) as bag:  # one of its own: another thread reads images
        for place, message in enumerate(
            bag.messages([camera.image], times_ns[0], times_ns[-1] + 1)
        ):
            with suppress(ImageError, BagError):
                reader(message.content)
                if not place:
                    return
                raise StudioError(
                    f"image {span.first + 1} of {camera.name} is between two keyframes of its video, and a replay "
                    f"begins with it: begin with image {span.first + place + 1}, or with an earlier keyframe"
                )
            if not reader.reads_video:  # a damaged image is reported when it is read
                return
    raise StudioError(
        f"none of the images {span.first + 1} to {span.last + 1} of {camera.name} is a keyframe of its video, with "
        "which a replay begins: begin earlier, or end later"
    )


def stills_of(paths: Sequence[Path], cameras: Sequence[str] = ()) -> Stills:
    """Return the images of files, of a folder of images, or of a recording.

    Raises ZeroShotSegmentationError when there are none.
    """
    if len(paths) == 1 and (paths[0].suffix in (".mcap", ".db3") or _is_recording(paths[0])):
        return RecordedImages(paths[0], cameras)
    for path in paths:
        if not path.exists():
            raise StudioError(f"there is no {path}: name images, folders of images or a recording")
    return ImageFiles(paths)


def _is_recording(path: Path) -> bool:
    return path.is_dir() and any(
        (path / "metadata.yaml").exists() or file.suffix in (".mcap", ".db3", ".zstd")
        for file in path.iterdir()
    )


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
