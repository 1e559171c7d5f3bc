#!/usr/bin/env python3
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Put the copyright notice that ament_copyright accepts at the top of every source file, or check that it is there.

scripts/copyright_notices.py          adds it where it is missing
scripts/copyright_notices.py --check  names the files without it, and ends with exit code 1
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTICE = """\
Copyright 2026 zs_seg_ros developers

Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
the specific language governing permissions and limitations under the License.
"""
SIGNS = {".py": "#", ".c": "//", ".h": "//", ".hpp": "//", ".cpp": "//"}
"""What begins a comment in the files that ament_copyright reads, by their suffix."""
_MADE = ("build", "install", "log", "demo_out")
"""Folders that colcon and `make demo` make."""
_AT_TOP = re.compile(r"\A(#![^\n]*\n)?")


def notice(sign: str) -> str:
    """Return the notice as comments, with an empty line below it; ament_cpplint allows C++ 100 characters a line."""
    lines = NOTICE.splitlines()
    if sign == "//":
        paragraphs = NOTICE.split("\n\n")
        lines = "\n\n".join(textwrap.fill(each, 97) for each in paragraphs).splitlines()
    return "".join(f"{sign} {line}".rstrip() + "\n" for line in lines) + "\n"


def sources(root: Path) -> list[Path]:
    """Return the files of the repository that need a notice; setup.py and empty files need none."""
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _MADE]
        paths += [Path(folder, name) for name in names if Path(name).suffix in SIGNS]
    return sorted(p for p in paths if p.stat().st_size and p != root / "setup.py")


def has_notice(path: Path) -> bool:
    """Return whether the notice is at the top of the file, below a first line for the shell."""
    text = path.read_text(encoding="utf-8")
    return _AT_TOP.sub("", text, count=1).startswith(notice(SIGNS[path.suffix]))


def add_notice(path: Path) -> None:
    """Put the notice at the top of the file, below a first line for the shell."""
    text = path.read_text(encoding="utf-8")
    first = _AT_TOP.match(text)
    top = first[0] if first else ""
    path.write_text(top + notice(SIGNS[path.suffix]) + text[len(top) :], encoding="utf-8")


def main() -> int:
    """Add the notices, or check them; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    missing = [path for path in sources(ROOT) if not has_notice(path)]
    for path in missing:
        print(path.relative_to(ROOT))
        if not check:
            add_notice(path)
    return int(check and bool(missing))


if __name__ == "__main__":
    sys.exit(main())
