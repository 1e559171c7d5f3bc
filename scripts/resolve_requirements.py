#!/usr/bin/env python3
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Resolve every set of requirements for every supported Python, without installing anything.

scripts/resolve_requirements.py              all sets, for Python 3.10 to 3.14
scripts/resolve_requirements.py 3.14         all sets, for these versions alone

It needs the network and `uv` (`pip install uv`), which resolves for a Python other than its own, as pip cannot: pip
evaluates markers with the Python that runs it. Packages must have a wheel for 64-bit x86 Linux, except SOURCES.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
WITHOUT_ROS = ("3.14",)
"""Versions of Python for which there are no wheels of ROS 2."""
SOURCES = {"empy": VERSIONS, "notify2": VERSIONS, "pybullet": ("3.12", "3.13", "3.14")}
"""Packages without a wheel for these versions of Python: pip builds them, pybullet with a C++ compiler."""


@dataclass(frozen=True)
class RequirementSet:
    """Files of requirements that are installed by one command of pip."""

    files: tuple[str, ...]
    versions: tuple[str, ...] = VERSIONS

    @property
    def name(self) -> str:
        return " + ".join(self.files)


WITH_ROS = tuple(version for version in VERSIONS if version not in WITHOUT_ROS)
SETS = (
    RequirementSet(("runtime",)),
    RequirementSet(("runtime", "development", "cv_bridge")),
    RequirementSet(("runtime", "development", "training")),
    RequirementSet(("runtime", "development", "jazzy", "cv_bridge"), WITH_ROS),
    RequirementSet(("runtime", "development", "kilted", "cv_bridge"), WITH_ROS),
)


def command(requirements: RequirementSet, version: str) -> list[str]:
    """Return the command of uv that resolves a set for a version of Python."""
    words = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    words += ["--python-version", version, "--python-platform", "x86_64-manylinux_2_28"]
    words += ["--only-binary", ":all:"]
    for package, versions in SOURCES.items():
        if version in versions:
            words += ["--no-binary", package]
    words += ["--constraint", str(REQUIREMENTS / "constraints.txt")]
    return [*words, *(str(REQUIREMENTS / f"{name}.txt") for name in requirements.files)]


def unpinned(resolved: str) -> list[str]:
    """Return the resolved packages that no file pins: a later installation may take another version of them."""
    pinned = {
        _normal(match[1])
        for path in REQUIREMENTS.glob("*.txt")
        for match in re.finditer(r"^([\w.-]+)(?:\[.*?\])?==", path.read_text(), re.MULTILINE)
    }
    names = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", resolved, re.MULTILINE)
    gpu = re.compile(r"nvidia-|cuda-|triton$")  # torch pins them itself
    return [name for name in names if _normal(name) not in pinned and not gpu.match(name)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each set and version; return 1 if any does not resolve, 2 where uv is missing."""
    parser = argparse.ArgumentParser(description="Resolve every set of requirements.")
    parser.add_argument("versions", nargs="*", help="versions of Python, by default all")
    versions = parser.parse_args(arguments).versions or list(VERSIONS)
    unknown = [version for version in versions if version not in VERSIONS]
    if unknown:
        parser.error(f"no Python of {', '.join(VERSIONS)}: {', '.join(unknown)}")
    if shutil.which("uv") is None:
        print("uv is not on the PATH: `pip install uv` brings it.", file=sys.stderr)
        return 2
    failed = 0
    for version in versions:
        for requirements in SETS:
            if version not in requirements.versions:
                continue
            result = subprocess.run(
                command(requirements, version), capture_output=True, text=True, check=False
            )
            if result.returncode:
                failed = 1
                print(f"Python {version}: {requirements.name}: FAILED\n{result.stderr.strip()}")
                continue
            count = len(re.findall(r"^[\w.-]+.*==", result.stdout, re.MULTILINE))
            loose = unpinned(result.stdout)
            note = f", not pinned: {', '.join(loose)}" if loose else ""
            print(f"Python {version}: {requirements.name}: {count} packages{note}", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
