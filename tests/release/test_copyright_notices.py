# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The script that puts the notice of ament_copyright at the top of the sources."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "copyright_notices.py"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, text in (
        ("a.py", '"""A module."""\n'),
        ("run.py", "#!/usr/bin/env python3\nprint(1)\n"),
        ("b.hpp", "#pragma once\n"),
        ("empty.py", ""),
        ("setup.py", "x = 1\n"),
        ("page.md", "# A page\n"),
    ):
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    return tmp_path


def test_sources_get_a_notice_once(repository: Path) -> None:
    paths = SCRIPT["sources"](repository)
    assert sorted(path.name for path in paths) == ["a.py", "b.hpp", "run.py"]
    for path in paths:
        assert not SCRIPT["has_notice"](path)
        SCRIPT["add_notice"](path)
        assert SCRIPT["has_notice"](path)
    module = (repository / "a.py").read_text()
    assert module.startswith("# Copyright 2026 zs_seg_ros developers\n#\n# Licensed under")
    assert module.endswith('under the License.\n\n"""A module."""\n')
    header = (repository / "b.hpp").read_text()
    assert header.startswith("// Copyright 2026") and header.endswith("\n\n#pragma once\n")


def test_the_line_for_the_shell_stays_the_first(repository: Path) -> None:
    path = repository / "run.py"
    SCRIPT["add_notice"](path)
    text = path.read_text()
    assert text.startswith("#!/usr/bin/env python3\n# Copyright 2026") and text.endswith(
        "print(1)\n"
    )
    result = subprocess.run(["python3", str(path)], capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"
