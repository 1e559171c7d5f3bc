# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import zs_seg_ros


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start `zs-seg label` with these arguments."""
    package_folder = str(Path(zs_seg_ros.__file__).parents[1])
    path = f"{package_folder}:{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "zs_seg_ros.cli.main", "label", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of the process. Return its exit code and stderr."""
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def parts(out: Path) -> list[Path]:
    folder = out.with_name(f"{out.name}.partial")
    return sorted(p for p in folder.glob("slices/*/*") if p.name.isdecimal())
