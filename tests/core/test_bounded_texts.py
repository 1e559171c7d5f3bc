# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""No module shows text from outside raw: a check of the syntax trees, which planted faults fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from bounded_texts import raw_texts

from zs_seg_ros import errors

PACKAGE = Path(__file__).parents[2] / "zs_seg_ros"
OWN = {name for name, value in vars(errors).items() if isinstance(value, type)} | {"ParameterError"}
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in ("msg", "srv")
)


def test_no_module_shows_text_from_outside_raw() -> None:
    found = {
        str(path.relative_to(PACKAGE)): problems
        for path in MODULES
        if path.name != "shown.py"
        and (problems := raw_texts(ast.parse(path.read_text(encoding="utf-8")), OWN))
    }
    assert len(MODULES) > 150
    assert not found


@pytest.mark.parametrize(
    "planted",
    [
        'raise ValueError(f"no {name!r}")',
        'raise ValueError(f"no {name!a}")',
        'raise ValueError("no %r" % name)',
        'raise ValueError("no " + repr(name))',
        'text = ", ".join(map(repr, names))',
        "import traceback",
        "from traceback import format_exc",
        'try: ...\nexcept OSError as error: print(f"{error}")',
        "try: ...\nexcept (KeyError, BagError) as e: log(str(e))",
        "try: ...\nexcept OSError as error: print(error)",
    ],
)
def test_a_planted_fault_is_found(planted: str) -> None:
    assert len(raw_texts(ast.parse(planted), OWN)) >= 1


@pytest.mark.parametrize(
    "clean",
    [
        'raise ValueError(f"no {quoted(name)}")',
        "try: ...\nexcept BagError as error: print(error)",
        'try: ...\nexcept OSError as error: print(f"{described(error)}")',
    ],
)
def test_cleaned_text_is_accepted(clean: str) -> None:
    assert not raw_texts(ast.parse(clean), OWN)
