# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The tables of docs/cameras.md list what the code reads, all of it and nothing else."""

from __future__ import annotations

import re

import pytest
from pages import ROOT, anchors_of

from zs_seg_ros.images.camera_info import COEFFICIENTS, OTHER_NAMES
from zs_seg_ros.images.compressed_images import FILE_FORMATS
from zs_seg_ros.images.encodings import CONVERTED, DEPTH, PLAIN
from zs_seg_ros.images.video import CODECS, ENCODERS
from zs_seg_ros.ros.parameters.camera_table import TRANSPORTS

PAGE = ROOT / "docs" / "cameras.md"


def table_of(first_cell: str) -> list[tuple[list[str], str]]:
    """Return the rows of the table whose first cell is `first_cell`: the codes of their first cells, and the second."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    [start] = [n for n, line in enumerate(lines) if line.startswith(f"| {first_cell} |")]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, second = (cell.strip() for cell in line.strip("|").split("|", maxsplit=1))
        assert re.sub(r"`[^`]+`|[, ]", "", first) == "", f"{first!r} has more than codes"
        rows.append((re.findall(r"`([^`]+)`", first), second))
    return rows


TABLES = {
    "encodings": ("encoding | read as", {*PLAIN, *CONVERTED}),
    "depth": ("encoding | unit", {*DEPTH}),
    "formats": ("format | read as", {*FILE_FORMATS, *CODECS, *ENCODERS}),
    "lens models": ("distortion_model | coefficients in D", {*COEFFICIENTS, *OTHER_NAMES}),
}


@pytest.mark.parametrize(("header", "names"), TABLES.values(), ids=TABLES.keys())
def test_a_table_lists_what_is_read(header: str, names: set[str]) -> None:
    listed = [name for row, _ in table_of(header) for name in row]
    assert sorted(listed) == sorted(names)


def test_the_encodings_of_a_row_are_read_alike() -> None:
    words = {
        "red, green, blue": slice(0, 3),
        "blue, green, red": slice(2, None, -1),
        "grey": None,
    }
    for row, text in table_of("encoding | read as"):
        if set(row) <= set(PLAIN):
            [order] = [order for word, order in words.items() if text.startswith(word)]
            assert {str(PLAIN[name].rgb) for name in row} == {str(order)}
            assert len({PLAIN[name].channels for name in row}) == 1
        else:
            assert len({CONVERTED[name] for name in row}) == 1


def test_the_formats_of_a_row_are_one_codec() -> None:
    codecs = CODECS | ENCODERS
    for row, text in table_of("format | read as"):
        if set(row) & set(codecs):
            [codec] = {codecs[name] for name in row}
            title = {"h264": "H.264", "hevc": "H.265"}.get(codec, codec.upper())
            assert text == f"video, {title}"


def test_units_of_depth_are_those_that_are_read() -> None:
    units = {"u2": "millimetres", "f4": "metres"}
    for row, text in table_of("encoding | unit"):
        assert {units[DEPTH[name]] for name in row} == {text.split(";")[0]}


def test_numbers_of_coefficients_are_those_that_are_accepted() -> None:
    for row, text in table_of("distortion_model | coefficients in D"):
        for name in row:
            counts = COEFFICIENTS[OTHER_NAMES.get(name, name)]
            assert [int(number) for number in re.findall(r"\d+", text)] == list(counts)


def test_the_transports_of_images_are_listed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index("## Image transports") : page.index("`CAM.depth_transport`")]
    assert re.findall(r"^\| (?:`CAM\.transport`)? ?\| `(\w+)`", section, re.MULTILINE) == list(
        TRANSPORTS
    )
    assert {"encodings", "compressed-images", "depth"} <= anchors_of(PAGE)
