# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Real commands create, rename, change and remove files only where their arguments say, and in the temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from small_bags import write_bag

from zs_seg_ros.vocabulary.vocabulary_file import HEADING

AUDIT = """
import os, sys

_LOG = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
# The places of the paths among the arguments, each with that of the descriptor of its folder.
_CHANGES = {
    "os.rename": ((0, 2), (1, 3)), "os.link": ((0, 2), (1, 3)), "os.symlink": ((1, 2),), "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.utime": ((0, 3),), "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),), "os.truncate": ((0, None),), "os.setxattr": ((0, None),),
}

def _audit(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        places = ((0, None),)
    else:
        places = _CHANGES.get(event, ())
    for place, folder in places:
        path = arguments[place]
        if isinstance(path, int):
            continue  # an open file, which was written down when it was opened
        inside = -1 if folder is None else arguments[folder]
        base = os.getcwd() if inside in (-1, None) else os.readlink(f"/proc/self/fd/{inside}")
        line = event + "\\t" + os.path.join(base, os.fsdecode(path)) + "\\n"
        os.write(_LOG, line.encode("utf-8", "surrogateescape"))

sys.addaudithook(_audit)
"""
DEVICES = ("/dev/null", "/dev/shm/")
END_S = 60.0


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The folder that all arguments lie in."""
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


class Audited:
    """Starts commands with a hook that writes down each change of a file that Python makes."""

    def __init__(self, folder: Path, given: Path) -> None:
        self.log = folder / "audit.log"
        self._given = given
        hook, home = folder / "hook", folder / "home"
        hook.mkdir()
        home.mkdir()
        (hook / "sitecustomize.py").write_text(AUDIT)
        (folder / "tmp").mkdir()
        self._private = folder / "tmp"
        path = os.pathsep.join([str(hook), os.environ.get("PYTHONPATH", "")])
        self.environment = os.environ | {
            "PYTHONPATH": path, "AUDIT_LOG": str(self.log), "HOME": str(home), "TMPDIR": str(self._private),
            "ROS_LOG_DIR": str(self._private), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        program = shutil.which(str(words[0]))
        assert program is not None
        return subprocess.Popen(
            [program, *map(str, words[1:])],
            cwd=self._given,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *words: object) -> None:
        assert self.start(*words).wait(END_S) == 0

    def changes(self) -> set[tuple[str, str]]:
        """Return the events with their paths, those outside of the folders that commands were given first of all."""
        lines = self.log.read_text(errors="surrogateescape").splitlines()
        return {
            (event, os.path.normpath(path)) for event, path in (i.split("\t", 1) for i in lines)
        }

    def elsewhere(self) -> set[tuple[str, str]]:
        allowed = (str(self._given), f"{self._private}/", *DEVICES)
        return {(event, path) for event, path in self.changes() if not path.startswith(allowed)}


@pytest.fixture
def audited(tmp_path: Path, given: Path) -> Audited:
    return Audited(tmp_path, given)


def test_the_hook_notices_changes_elsewhere(audited: Audited, given: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    code = "import os; os.rename('../mine', 'taken'); open('new', 'w'); os.remove('taken'); open('new')"
    program = subprocess.run([sys.executable, "-c", code], cwd=given, env=audited.environment)
    assert program.returncode == 0
    assert audited.elsewhere() == {("os.rename", str(tmp_path / "mine"))}
    assert ("os.remove", str(given / "taken")) in audited.changes()


def test_segment_writes_its_output_alone(audited: Audited, given: Path) -> None:
    Image.new("RGB", (32, 24), "red").save(given / "image.png")
    words = (given / "image.png", "--classes", "red", "--model", "fake", "-o", given / "out.png")
    audited.run("zs-seg", "segment", *words)
    assert (given / "out.png").is_file()
    assert audited.elsewhere() == set()
    assert not any(path == str(given / "image.png") for _, path in audited.changes())


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "coco"])
def test_label_writes_below_its_result_alone(audited: Audited, given: Path, kind: str) -> None:
    bag = write_bag(given / "bag")
    words = (bag, given / "out", "--classes", "red", "--model", "fake", "--format", kind)
    audited.run("zs-seg", "label", *words)
    assert audited.elsewhere() == set()
    inside = {path for _, path in audited.changes() if path.startswith(f"{given}/")}
    assert inside
    assert {path for path in inside if not path.startswith(f"{given}/out")} == set()


def test_replay_test_writes_its_golden_file_and_reports_alone(
    audited: Audited, given: Path
) -> None:
    bag = write_bag(given / "bag")
    golden = ("--golden", given / "new.golden")
    audited.run("replay_test", bag, *golden, "--update", "--model", "fake", "--classes", "red")
    reports = ("--html", given / "report.html", "--junit", given / "report.xml")
    audited.run("replay_test", bag, *golden, *reports)
    assert audited.elsewhere() == set()
    assert not any(path.startswith(f"{given}/bag") for _, path in audited.changes())


def test_the_node_writes_beside_its_vocabulary_file_alone(audited: Audited, given: Path) -> None:
    (given / "words").mkdir()
    file = given / "words" / "words.yaml"
    file.write_text(f"{HEADING}classes: [red, red]\n")
    words = ("-p", "model:=fake", "-p", f"vocabulary_file:={file}", "-p", "classes:=[red]")
    process = audited.start("segmentation_node", "--ros-args", *words)
    try:
        end = time.monotonic() + END_S
        while not list(file.parent.glob("words.yaml.damaged-*")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
    assert audited.elsewhere() == set()
    renamed = {path for event, path in audited.changes() if event == "os.rename"}
    assert str(file) in renamed
    assert all(path.startswith(f"{file}") for path in renamed)


def test_the_player_writes_nothing(audited: Audited, given: Path) -> None:
    audited.run("bag_player", write_bag(given / "bag"), "--rate", "100")
    assert audited.elsewhere() == set()
    assert not any(path.startswith(f"{given}/bag") for _, path in audited.changes())
