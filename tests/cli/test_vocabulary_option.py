# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label --vocabulary`: a wrong file is one sentence and the exit code 2, at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zs_seg_ros.cli.main import main

BOMB = (
    "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(20)) + "classes: [*b19]\n"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "an anchor"),
        ("classes: [!!bool abc]", "the tag"),
        ("classes: [!!timestamp x]", "the tag"),
        ("classes: [!!int '']", "the tag"),
        ("classes: [{name: a, threshold: " + "9" * 400 + "}]", "a number of 400 characters"),
        ('classes: [{name: "a\\u001b[31m", more: 1}]', "class 'a\\x1b[31m' has the unknown"),
        ("[" * 100_000, "nested more than"),
        ("", "no list named 'classes'"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    (tmp_path / "words.yaml").write_text(content)
    check(tmp_path / "words.yaml", reason, tmp_path, capsys)


def test_another_kind_of_file_is_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to("nowhere")
    check(tmp_path, "is a folder", tmp_path, capsys)
    check(tmp_path / "pipe", "is a FIFO", tmp_path, capsys)
    check(tmp_path / "zero", "is a device", tmp_path, capsys)
    check(tmp_path / "link", "is a symbolic link to nowhere", tmp_path, capsys)
    check(tmp_path / "missing", "there is no vocabulary file", tmp_path, capsys)
    check(Path("~no-such-user-here/words"), "home folder of a user", tmp_path, capsys)


def check(path: Path, reason: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["label", str(folder / "bag"), str(folder / "out"), "--vocabulary", str(path)]
    assert main([*arguments, "--model", "fake"]) == 2
    errors = capsys.readouterr().err
    assert reason in errors and errors.count("\n") == 1 and errors.strip().isprintable()
    assert not (folder / "out").exists() and not (folder / "out.partial").exists()
