# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The table of recordings that are read names, in each row, the tests that cover it."""

from __future__ import annotations

import re

from pages import ROOT


def test_every_row_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "labelling.md").read_text(encoding="utf-8")
    table = page.partition("## What is a recording")[2].partition("\n\n|")[2].partition("\n\n")[0]
    rows = [line.strip(" |").split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) > 8
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        assert len(row) == 3, row
        names = re.findall(r"`(test_\w+)`", row[2])
        assert names, f"no test covers: {row[0]}"
        assert [name for name in names if f"def {name}(" not in code] == []


def test_every_test_of_a_form_of_recordings_is_in_the_table() -> None:
    """A form that gets a test gets a row: tests of reading are listed, or named here with the reason."""
    page = (ROOT / "docs" / "labelling.md").read_text(encoding="utf-8")
    files = ("test_foreign_recordings.py", "test_mcap_forms.py", "test_recorded_metadata.py")
    read = [
        name
        for file in files
        for name in re.findall(
            r"def (test_\w+(?:is|are)_(?:read|refused\w*))\(",
            (ROOT / "tests" / "bags" / file).read_text(encoding="utf-8"),
        )
    ]
    details = {
        "test_paths_of_windows_are_read",
        "test_types_with_the_short_names_of_the_first_releases_are_read",
        "test_a_recording_without_messages_is_read",
        "test_missing_files_are_named_and_the_others_are_read",
    }
    assert [name for name in read if f"`{name}`" not in page and name not in details] == []
