# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Finds the commands of a page and checks each of them.

`CHECKS` maps the first word of a command to the function that checks it; `NOT_RUN` lists the commands that are not
checked, with the reason. A command in neither fails the test: add a function or, where nothing can be checked, a
reason.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import launch_stand_ins
import yaml
from ament_index_python.packages import get_package_prefix
from pages import ROOT, SHELL, blocks_of, inline_code_of, runs_in_ci
from PIL import Image
from ros2_commands import Ros2Commands

from zs_seg_ros.cli import bag_player, replay_arguments, studio_arguments
from zs_seg_ros.cli.main import main
from zs_seg_ros.cli.parser import zs_seg_parser

PREFIX = Path(get_package_prefix("zs_seg_ros"))
NOT_RUN = {
    "apt-get update": "needs root and the network",
    "rosdep install": "needs rosdep's database and root; it reads package.xml",
    "rosdep update": "needs the network",
    "colcon build": "`make workspace` does it, before every test",
    "colcon test": "would run these tests within themselves",
    "source install/setup.bash": "of the workspace that colcon built",
    ". ": "sets variables",
    "export": "sets variables; paths in it are checked",
    "pip install": "changes the environment",
    "docker": "there is no container engine in the tests; tests/release checks the files",
    "cp demo_out/": "`make demo` writes these files; tests/ros/test_demo.py checks that",
    "for enclave in": "SROS 2's command is not on PyPI; tests/ros/test_security.py checks the policy",
    "do ros2 security": "as above",
    "done": "end of a loop",
    "ros2 security": "as above",
    "ssh -L": "needs another machine",
    "ros2 bag": "rosbag2 is not on PyPI",
    "ros2 run rmw_zenoh_cpp": "of another package",
    "ros2 action send_goal /follow_object": "Nav2's following server is not on PyPI",
    "ros2 run diagnostic_aggregator": "of another package",
    "ros2 run rqt_image_view": "of another package",
    "ros2 launch foxglove_bridge": "of another package",
}
INLINE = re.compile(r"(ros2|zs-seg|make|scripts/run\.sh) \S")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_ASKS_PREFIX, _PREFIX = "$(ros2 pkg prefix zs_seg_ros)", "$PREFIX"
_WORKSPACE = "src/zs_seg_ros/"  # where a robot's workspace has this repository


@dataclass(frozen=True)
class Command:
    """A command. place: page and line; mention: inline code, where it may lack its arguments."""

    place: str
    words: tuple[str, ...]
    mention: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.words)}"


def commands_of(page: Path) -> list[Command]:
    """Return the commands of all shell blocks and of inline code, from top to bottom."""
    commands: list[tuple[int, Command]] = []
    for block in blocks_of(page):
        texts = [block.text] if block.language in SHELL else runs_in_ci(block)
        for text in texts:
            for offset, line in enumerate(text.replace("\\\n", " ").splitlines()):
                place = f"{page.relative_to(ROOT)}:{block.line + offset}"
                commands += [
                    (block.line + offset, Command(place, w)) for w in simple_commands(line)
                ]
    for number, code in inline_code_of(page):
        if INLINE.match(code) and "…" not in code:
            place = f"{page.relative_to(ROOT)}:{number}"
            commands += [(number, Command(place, w, mention=True)) for w in simple_commands(code)]
    return [command for _, command in sorted(commands, key=lambda pair: pair[0])]


def simple_commands(line: str) -> Iterator[tuple[str, ...]]:
    """Split a line as a shell does: `a && b # why` -> a, b."""
    lexer = shlex.shlex(line.replace(_ASKS_PREFIX, _PREFIX), posix=True, punctuation_chars=";&|")
    lexer.commenters, lexer.whitespace_split = "#", True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|"):
            if words:
                yield tuple(words)
            words = []
        else:
            words.append(word)


def check(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    """Raise AssertionError unless the command would work. folder: an empty one, to run it in."""
    for word in command.words:
        if word.startswith(_WORKSPACE):
            assert (ROOT / word.removeprefix(_WORKSPACE)).exists(), word
        _, asks, path = word.partition(f"{_PREFIX}/")
        assert not asks or (PREFIX / path).exists(), f"{command}: {path} is not installed"
    words = command.words
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    if not words or any(" ".join(words).startswith(known) for known in NOT_RUN):
        return
    assert words[0] in CHECKS, f"{command}: no check for {words[0]}; see {Path(__file__).name}"
    CHECKS[words[0]](replace(command, words=words), ros2, folder)


def _check_make(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in command.words[1:]:
        variable, is_variable, _ = word.partition("=")
        pattern = rf"^{variable} \?=" if is_variable else rf"^{word}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"{command}: the Makefile has no {word}"


def _check_zs_seg(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    arguments = list(command.words[1:])
    try:
        parsed = zs_seg_parser().parse_args(arguments)
    except SystemExit:
        assert command.mention, f"{command}: zs-seg does not take that"
        helped = _help_of_zs_seg(arguments[0])
        assert all(word in helped for word in arguments[1:] if word.startswith("--")), command
        return
    if arguments[0] == "segment" and parsed.model == "tabletop":
        examples = [file for e in parsed.example for file in (e.image, e.mask) if file is not None]
        for image in (*parsed.images, *examples):
            Image.new("RGB", (64, 48), "red").save(folder / image)
        assert main(arguments) == 0, command


def _help_of_zs_seg(name: str) -> str:
    """Return the help of a command of zs-seg. Raises AssertionError when there is none of this name."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        zs_seg_parser().parse_args([name, "--help"])
    assert output.getvalue(), f"zs-seg has no command {name}"
    return output.getvalue()


def _check_script(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    """Check a script of the repository; scripts/run.sh runs another command, which is checked, too."""
    script, *arguments = command.words
    assert (ROOT / script).is_file(), command
    if script == "scripts/run.sh" and arguments[0] != "COMMAND":
        check(Command(command.place, tuple(arguments)), ros2, folder)
    elif script == "scripts/run_tests.sh":
        for path in (argument for argument in arguments if "/" in argument):
            assert (ROOT / path).exists(), f"{command}: there is no {path}"


def _check_python(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    _, option, module, *arguments = command.words
    assert option == "-m", command
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    for argument in arguments:
        if argument.startswith("--"):
            assert f'"{argument}"' in source, f"{command}: {module} has no {argument}"


def _check_ros2(command: Command, ros2: Ros2Commands, folder: Path) -> None:
    kind, *arguments = command.words[1:]
    if kind == "run":
        package, executable, *given = arguments
        assert package == "zs_seg_ros", f"{command}: no check for executables of {package}"
        assert (PREFIX / "lib/zs_seg_ros" / executable).is_file(), f"{command}: no {executable}"
        parse = {
            "bag_player": bag_player.parse,
            "replay_test": replay_arguments.parse,
            "studio": studio_arguments.parse,
        }.get(executable)
        if parse is not None and given:
            try:
                parse(given)
            except SystemExit:
                raise AssertionError(f"{command}: {executable} does not take that") from None
    elif kind == "launch":
        _check_launch(command, arguments)
    else:
        ros2.check(list(command.words), command.mention)


def _check_launch(command: Command, arguments: list[str]) -> None:
    package, file, *given = arguments
    assert package == "zs_seg_ros", f"{command}: no check for launch files of {package}"
    declared = launch_stand_ins.arguments_of(PREFIX / "share/zs_seg_ros/launch" / file)
    for argument in given:
        name, has_value, value = argument.partition(":=")
        assert has_value or argument == "--show-args", f"{command}: what is {argument}?"
        if has_value:
            assert name in declared, f"{command}: {file} declares no {name}"
            choices = declared[name].kwargs.get("choices")
            assert choices is None or value in choices, f"{command}: {value!r} is not in {choices}"
            if name in ("cameras", "classes"):
                values = yaml.safe_load(value)
                assert isinstance(values, list) and all(isinstance(v, str) for v in values), command


CHECKS: dict[str, Callable[[Command, Ros2Commands, Path], None]] = {
    "make": _check_make,
    "zs-seg": _check_zs_seg,
    "ros2": _check_ros2,
    "scripts/run.sh": _check_script,
    "scripts/run_tests.sh": _check_script,
    "scripts/copyright_notices.py": _check_script,
    "scripts/resolve_requirements.py": _check_script,
    "python": _check_python,
}
