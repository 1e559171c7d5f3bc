# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What vocabulary_file may name or contain: everything but a vocabulary is refused, and stays."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import Attack
from node_target import NodeTarget, node_target
from rclpy.parameter import Parameter

COUNT = 130
GOOD = "classes:\n- name: red mug\n  prompts: [red, mug]\n  threshold: 0.5\n- blue\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi")
)
CONTENTS = (
    "classes: [!!bool abc]", "classes: [!!timestamp x]", "classes: [!!int '']", "classes: !!python/object:os.system x",
    "classes: [{name: a, threshold: " + "9" * 400 + "}]", "classes: [{name: a, threshold: .nan}]",
    "classes: [a]\nversion: 99999999999999999999", "classes: [a]\nversion: 4294967295", BOMB + "classes: *i\n",
    "classes: " + "[" * 100_000, "[" * 100_000, '{"a":' * 50_000, "classes: &a [*a]", "classes: [a, a]", "\0\1",
    "classes: {red: 1}", "classes: 7", 'classes: ["\\e[2J"]', "? : :", "- - - -", "%YAML 9.9\n---\na",
    "classes: [a]\nclasses: [b]", "<<: 1", "a" * 3_000_000, "classes: [{name: x, exemplars: [iVBORw0KGgo=]}]",
)  # fmt: skip


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "autostart:=false") as node:
        yield node


def configure(node: NodeTarget, name: str, value: str, refused: bool | None) -> str:
    """Configure with a parameter's value; the node is unconfigured afterwards."""
    [result] = node.set_parameters(Parameter(name, value=value).to_parameter_msg())
    done = result.successful and node.change_state("configure")
    if done:
        node.change_state("cleanup")
    if node.state() != "unconfigured":
        return f"the node is {node.state()}"
    if refused is not None and done == refused:
        return f"configure with {value[-60:]!r}: {done}"
    return ""


def _names(path: str, refused: bool | None) -> Any:
    return lambda node: configure(node, "vocabulary_file", path, refused)


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind, path in foreign.items():
        # Root reads and searches everything: what nobody else may read is a file of another program to it.
        yield Attack(f"names {kind}{' as root' * (os.geteuid() == 0)}", _names(str(path), True))
        if "folder" not in kind:  # a new file may be written into a folder
            yield Attack(f"below {kind}", _names(f"{path}/words.yaml", True))
    for path in (
        "~no-such-user-here/w.yaml",
        "x" * 5000,
        "\x1b[2J/w",
        "/dev/stdin",
        "/proc/self/mem",
    ):
        yield Attack(f"names {path[:30]!r}", _names(path, True))
    for number, content in enumerate(CONTENTS):
        yield Attack(
            f"content {number}", _names(str(_write(work, f"named{number}", content)), True)
        )
    for number in range(COUNT - len(CONTENTS) - 2 * len(foreign) - 5):
        content = bytearray(GOOD.encode())
        for _ in range(random.randint(1, 6)):
            content[random.randrange(len(content))] = random.randrange(256)
        data = bytes(content[: random.choice((len(content), random.randrange(len(content))))])
        path = _write(work, f"changed{number}", data)
        yield Attack(f"changed {number}", _names(str(path), None))


def _write(work: Path, name: str, content: str | bytes) -> Path:
    path = work / f"{name}.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
