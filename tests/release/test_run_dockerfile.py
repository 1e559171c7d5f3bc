# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The script that executes the Dockerfile in a chroot: what it reads; `root` alone can run it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from run_dockerfile import DOCKERFILE, Build, expanded, instructions


def test_comments_are_left_out_and_continued_lines_are_one_instruction() -> None:
    text = '# a comment\nFROM a AS b\n\nRUN one \\\n  # inside\n    && two\nCMD ["x"]\n'
    assert list(instructions(text)) == [
        ("FROM", "a AS b"),
        ("RUN", "one      && two"),
        ("CMD", '["x"]'),
    ]


def test_variables_are_replaced_with_and_without_braces() -> None:
    values = {"BASE": "ros", "DISTRO": "jazzy"}
    assert expanded("${BASE}:$DISTRO-base$NONE", values) == "ros:jazzy-base"


def test_every_instruction_of_the_dockerfile_is_executed() -> None:
    names = {name for name, _ in instructions(DOCKERFILE.read_text())}
    assert {"FROM", "RUN", "COPY", "USER", "ENTRYPOINT"} <= names
    assert [name for name in names if not hasattr(Build, f"_{name.lower()}")] == []
