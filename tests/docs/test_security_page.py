"""Every test that the page on security names exists."""

from __future__ import annotations

import re

from pages import ROOT


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    names = set(re.findall(r"`(test_\w+)`", page))
    assert len(files) > 5 and len(names) > 5
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in sorted(names) if f"def {name}(" not in code] == []
