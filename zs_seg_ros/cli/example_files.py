# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The files of example images on the command line: "bracket=photo.png" and "bracket=photo.png:mask.png"."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from zs_seg_ros.shown import quoted


@dataclass(frozen=True)
class ExampleFiles:
    """The files of an example image of the class `name`. mask: None for the whole image."""

    name: str
    image: Path
    mask: Path | None = None


def example_files(text: str) -> ExampleFiles:
    """Parse "NAME=IMAGE" or "NAME=IMAGE:MASK". A file whose own name has a colon is the image."""
    name, _, files = text.partition("=")
    if not name or not files:
        raise ArgumentTypeError(
            f"{quoted(text)} is not an example: write NAME=IMAGE or NAME=IMAGE:MASK"
        )
    image, _, mask = files.rpartition(":")
    if not (image and mask) or Path(files).exists():
        return ExampleFiles(name, Path(files))
    return ExampleFiles(name, Path(image), Path(mask))
