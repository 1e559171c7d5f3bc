# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The record of what crosses between the stand-in accelerator and the CPU, and of the lines that cause it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Literal

Kind = Literal["upload", "download", "synchronisation"]
_OF_THE_STAND_IN = "accelerator"
_LIBRARIES = ("torch", "contextlib")


@dataclass(frozen=True)
class Transfer:
    """One upload, download or synchronisation.

    size: in bytes; 0 for a synchronisation. line: the innermost line outside torch, and where that is in a library
    also the innermost of this package or a plug-in.
    """

    kind: Kind
    size: int
    line: str


class Transfers:
    """Collects transfers."""

    def __init__(self) -> None:
        self.all: list[Transfer] = []

    def add(self, kind: Kind, size: int = 0) -> None:
        """Record a transfer of the line that is running."""
        self.all.append(Transfer(kind, size, _line()))


def _line() -> str:
    """Describe the line that made torch's call."""
    frame: FrameType | None = sys._getframe(1)
    inner = ""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        package = _package(path)
        if not path.stem.startswith(_OF_THE_STAND_IN) and package not in _LIBRARIES:
            described = _described(frame, path)
            inner = inner or described
            if package != "transformers":
                return inner if inner == described else f"{described} < {inner}"
        frame = frame.f_back
    return inner


def _package(path: Path) -> str:
    """Return the name of the installed package that a source file is of; '' for another file."""
    if path.stem == "contextlib":
        return path.stem
    parts = path.parts
    at = next((i for i, part in enumerate(parts) if part == "site-packages"), len(parts))
    return parts[at + 1] if at + 1 < len(parts) else ""


def _described(frame: FrameType, path: Path) -> str:
    code = getline(str(path), frame.f_lineno).strip()
    return f"{path.name}:{frame.f_lineno} {code}"
