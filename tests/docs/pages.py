# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parses the pages: blocks of code, commands within text, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "training/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SHELL = ("", "bash", "sh", "console")
LANGUAGES = (*SHELL, "text", "python", "cpp", "yaml", "xml", "json", "toml")
_FENCE = re.compile(r"^\s*```(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is the number of its first line of text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    blocks, start, language, lines = [], 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, language, lines = number + 1, fence[1], []
        elif fence:
            blocks.append(Block(page, start, language, "\n".join(lines)))
            start = 0
        elif start:
            lines.append(line)
    assert not start, f"{page}: the block at line {start} has no end"
    return blocks


def runs_in_ci(block: Block) -> list[str]:
    """Return the commands of the steps of CI jobs; none for other YAML."""
    content = yaml.safe_load(block.text) if block.language == "yaml" else {}
    jobs = content.get("jobs", {}).values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def prose_of(page: Path) -> str:
    """Return the page without its blocks, whose lines are left empty."""
    outside, lines = True, []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = bool(_FENCE.match(line))
        lines.append(line if outside and not fence else "")
        outside ^= fence
    return "\n".join(lines)


def inline_code_of(page: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each `code` in the prose."""
    prose = prose_of(page)
    for match in re.finditer(r"`([^`]+)`", prose):
        yield prose.count("\n", 0, match.start()) + 1, " ".join(match[1].split())


def links_of(page: Path) -> Iterator[tuple[int, str]]:
    """Yield line and target of each link and image."""
    prose = re.sub(r"`[^`]*`", lambda code: re.sub(r"[^\n]", "x", code[0]), prose_of(page))
    for match in re.finditer(r"\]\(([^)\s]+)\)", prose):
        yield prose.count("\n", 0, match.start()) + 1, match[1]


def anchors_of(page: Path) -> set[str]:
    """Return the valid anchors of `page.md#…`: headings as GitHub spells them in links."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
