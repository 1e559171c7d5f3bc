# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The words that CONTRIBUTING.md lists stay out of the code, the messages, the launch files and the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import words
from words import ALLOWED, RULES, Finding, Rule

ROOT = Path(__file__).resolve().parents[2]
CHECKED = (
    "*.md",
    "CHANGELOG.rst",
    "docs/api/*.*",
    "docs/**/*.md",
    "benchmarks/*.*",
    "config/**/*.*",
    "demo/*.py",
    "include/**/*.hpp",
    "launch/*.py",
    "models/*/README.md",
    "msg/*.msg",
    "package.xml",
    "recordings/*/README.md",
    "scripts/**/*.py",
    "src/*.*",
    "srv/*.srv",
    "training/*.*",
    "zs_seg_ros/**/*.py",
)
NAMES = [rule.avoid for rule in RULES]


def findings_in(root: Path) -> list[Finding]:
    files = sorted({file for pattern in CHECKED for file in root.glob(pattern) if file.is_file()})
    findings = [finding for file in files for finding in words.in_file(file, root)]
    return [finding for finding in findings if not is_list_of_words(finding)]


def is_list_of_words(finding: Finding) -> bool:
    return finding.place.startswith("CONTRIBUTING.md:") and finding.text.startswith("|")


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return findings_in(ROOT)


def test_no_listed_word_is_used(findings: list[Finding]) -> None:
    unexpected = [str(each) for each in findings if not any(a.covers(each) for a in ALLOWED)]
    assert unexpected == []


@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda allowed: allowed.file)
def test_every_exception_is_still_needed(allowed: words.Allowed, findings: list[Finding]) -> None:
    assert any(allowed.covers(each) for each in findings), allowed


def test_contributing_has_the_same_list() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| avoid | write |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines()]
    assert rows == [(rule.avoid, rule.use) for rule in RULES]


# --- the rules, one by one ---


def caught_by(rule: Rule, text: str) -> bool:
    """A rule for identifiers alone has statements of Python as examples."""
    is_code = rule.prose == words.Rule.prose
    findings = words.in_python(text, "here") if is_code else words.in_text(text, "here")
    return any(each.rule is rule for each in findings)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_rule_catches_its_example(rule: Rule) -> None:
    assert caught_by(rule, rule.caught)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_rule_lets_plain_english_through(rule: Rule) -> None:
    assert not caught_by(rule, rule.passes)


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("picture = 1", "picture"),
        ("def read_pictures(): ...", "picture"),
        ("class PictureFile: ...", "picture"),
        ("def f(first_thing): ...", "thing"),
        ("call(things=1)", "thing"),
        ("node.understand(text)", "understands, understood"),
        ("last_came_in_s = 0", "came in, went out"),
        ("node.hand_on(frame)", "hand on"),
    ],
)
def test_identifiers_are_caught_in_every_spelling(source: str, rule: str) -> None:
    assert [each.rule.avoid for each in words.in_python(source, "here")] == [rule]


@pytest.mark.parametrize(
    "source",
    [
        '"""A picture."""',
        "x = 1  # a picture",
        'x = f"{1} picture"',
        'def f():\n    """Returns a\n    picture."""',
    ],
)
def test_strings_comments_and_docstrings_are_searched(source: str) -> None:
    [finding] = words.in_python(source, "here")
    line = source[: source.index("picture")].count("\n") + 1
    assert (finding.rule.avoid, finding.place) == ("picture", f"here:{line}")


def test_words_are_caught_over_the_end_of_a_line() -> None:
    text = "# Images that the model has looked\n# at, and nobody\n# subscribes."
    caught = [each.rule.avoid for each in words.in_text(text, "here")]
    assert caught == ["looks at, looked at", "nobody listens, nobody subscribes"]


def test_a_finding_says_where_it_is_and_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Title\n\nA picture.\n")
    [finding] = findings_in(tmp_path)
    assert re.fullmatch(r"README.md:3: 'A picture.': write image instead of picture", str(finding))
