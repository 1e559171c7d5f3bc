#!/usr/bin/env python3
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Execute docker/Dockerfile without a container engine: stages in overlays over a base root, RUN lines in a chroot.

    run_dockerfile.py [--build-arg NAME=VALUE] [--env NAME=VALUE] [--bind FOLDER] BASE_ROOT FOLDER COMMAND ...

BASE_ROOT is the tree of the base image, one of mmdebstrap with ROS 2 in /opt/ros for example. FOLDER gets the trees of
the stages, and must not exist. The command runs at the end as in a container: by the entry point, as the image's user,
with its variables. It needs root and overlayfs; the network and the processes are those of this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


@dataclass
class Stage:
    """One stage: its tree, and what its instructions have set."""

    name: str
    tree: Path
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the rest of each instruction, with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name.upper(), rest.strip()


def expanded(text: str, values: dict[str, str]) -> str:
    """Return the text with ${NAME} and $NAME replaced."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], ""), text)


class Build:
    """A run of a Dockerfile."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._base = Path(options.base)
        self._folder = Path(options.folder)
        self._given = dict(pair.split("=", 1) for pair in options.build_arg)
        self._environment = dict(pair.split("=", 1) for pair in options.env)
        self._bound = ["/proc", "/dev", *options.bind]
        self._global: dict[str, str] = {}
        self._stages: dict[str, Stage] = {}
        self.stage: Stage | None = None

    def run(self, text: str) -> None:
        """Execute all instructions."""
        for number, (name, rest) in enumerate(instructions(text), 1):
            print(f"{number}: {name} {rest[:110]}", flush=True)
            if self.stage is None and name == "ARG":
                self._argument(self._global, rest, {})
            elif name == "FROM":
                self._from(rest)
            else:
                getattr(self, f"_{name.lower()}")(rest)

    def chroot(self, stage: Stage, words: list[str]) -> int:
        """Run a command in the tree of a stage, as its user and with its variables; return the exit code."""
        binds = "".join(
            f"mkdir -p {stage.tree}{folder}; mount --rbind {folder} {stage.tree}{folder}; "
            for folder in self._bound
        )
        inner = ["setpriv", "--reuid", stage.user, "--regid", stage.user, "--clear-groups"]
        inner += ["env", "-i", *(f"{n}={v}" for n, v in self._variables(stage).items())]
        inner += ["sh", "-c", 'cd "$0" && exec "$@"', stage.folder, *words]
        script = f'{binds}exec chroot {stage.tree} "$@"'
        command = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            script,
            "sh",
            *inner,
        ]
        return subprocess.run(command, check=False).returncode

    def _variables(self, stage: Stage) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        home = "/root" if stage.user == "0" else "/home/robot"
        fixed = {"PATH": path, "HOME": home, **self._environment}
        return fixed | stage.arguments | stage.variables

    def _argument(self, into: dict[str, str], rest: str, outer: dict[str, str]) -> None:
        name, _, default = rest.partition("=")
        default = expanded(default.strip('"'), into)
        into[name] = self._given.get(name, outer.get(name, default))

    def _from(self, rest: str) -> None:
        image, _, name = expanded(rest, self._global).partition(" AS ")
        assert self._global["BASE"] == image
        folder = self._folder / name
        tree, upper, work = folder / "tree", folder / "upper", folder / "work"
        for path in (tree, upper, work):
            path.mkdir(parents=True)
        layers = f"lowerdir={self._base},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, tree], check=True)
        self.stage = self._stages[name] = Stage(
            name, tree, {"ROS_DISTRO": self._global["ROS_DISTRO"]}
        )

    def _arg(self, rest: str) -> None:
        self._argument(self._present.arguments, rest, self._global)

    @property
    def _present(self) -> Stage:
        assert self.stage is not None
        return self.stage

    def _shell(self, rest: str) -> None:
        self._present.shell = json.loads(rest)

    def _workdir(self, rest: str) -> None:
        self._present.folder = rest
        (self._present.tree / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self._present.variables[name] = value

    def _user(self, rest: str) -> None:
        self._present.user = rest

    def _volume(self, rest: str) -> None:
        assert (self._present.tree / rest.lstrip("/")).is_dir()

    def _stopsignal(self, rest: str) -> None:
        signal.Signals[rest]

    def _entrypoint(self, rest: str) -> None:
        self._present.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._present.command = json.loads(rest)

    def _copy(self, rest: str) -> None:
        words = rest.split()
        source = ROOT
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).removeprefix("--from=")].tree
        origin = source / words[0].lstrip("/")
        target = self._present.tree / os.path.join(self._present.folder, words[1]).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if words[0] == ".":
            ignored = (ROOT / ".dockerignore").read_text().split()
            patterns = [name.removeprefix("**/") for name in ignored]
            shutil.copytree(origin, target, symlinks=True, ignore=shutil.ignore_patterns(*patterns))
        elif origin.is_dir():
            shutil.copytree(origin, target, symlinks=True)
        else:
            shutil.copy2(origin, target)

    def _run(self, rest: str) -> None:
        code = self.chroot(self._present, [*self._present.shell, rest])
        if code:
            sys.exit(f"RUN {rest}\nended with {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("folder")
    for option in ("--build-arg", "--env", "--bind"):
        parser.add_argument(option, action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    build = Build(options)
    build.run(DOCKERFILE.read_text())
    assert build.stage is not None
    command = options.command or build.stage.command
    print(shlex.join([*build.stage.entrypoint, *command]), flush=True)
    sys.exit(build.chroot(build.stage, [*build.stage.entrypoint, *command]))


if __name__ == "__main__":
    main()
