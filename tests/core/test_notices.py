# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every source file has the copyright notice that ament_copyright accepts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/copyright_notices.py"


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )


def test_every_source_file_has_its_notice() -> None:
    checked = run(SCRIPT, "--check")
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_a_file_without_its_notice_is_named_then_gets_it_below_the_line_for_the_shell(
    tmp_path: Path,
) -> None:
    script = tmp_path / "scripts" / SCRIPT.name
    script.parent.mkdir()
    shutil.copyfile(SCRIPT, script)
    source = tmp_path / "tool.py"
    source.write_text("#!/usr/bin/env python3\nprint(1)\n")
    (tmp_path / "empty.py").touch()
    named = run(script, "--check")
    assert (named.returncode, named.stdout) == (1, "tool.py\n")
    run(script)
    assert run(script, "--check").returncode == 0
    lines = source.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env python3" and lines[1].startswith("# Copyright")
    assert lines[-2:] == ["", "print(1)"]
