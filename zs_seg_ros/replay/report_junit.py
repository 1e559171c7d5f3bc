# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The report as JUnit XML, which CI systems show: one test case per class and one per check."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from zs_seg_ros.errors import FileError, ReplayError
from zs_seg_ros.files import write_output
from zs_seg_ros.replay.report import Report
from zs_seg_ros.shown import shown

_SUITE = "replay_test"
_LONGEST = 4000
"""Characters of one text. XML has no place for control characters, so that each text is cleaned, too."""


def write_junit(path: Path, report: Report) -> None:
    """Write the verdict as test cases. Raises ReplayError when the file cannot be written."""
    verdict = report.verdict
    cases = [
        (
            f"{_SUITE}.class",
            c.name,
            c.passed,
            f"IoU {c.iou:.4f}, at least {c.limit:g} is allowed; objects: {c.matched} matched, {c.missed} missed, "
            f"{c.new} new" + (f"; {c.note}" if c.note else "") + _worst(c.worst_frame),
        )
        for c in verdict.classes
    ]
    cases += [
        (
            f"{_SUITE}.check",
            c.name,
            c.passed,
            f"{c.value}; allowed: {c.limit}{_worst(c.worst_frame)}",
        )
        for c in verdict.checks
    ]
    suite = _suite(tests=len(cases), failures=sum(not passed for _, _, passed, _ in cases))
    suite.set("time", f"{report.seconds:.3f}")
    for group, name, passed, text in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=group, name=shown(name, 300))
        if passed:
            ElementTree.SubElement(case, "system-out").text = shown(text, _LONGEST)
        else:
            ElementTree.SubElement(case, "failure", message=shown(text, _LONGEST))
    _write(path, suite)


def _worst(title: str) -> str:
    return f"; most in {title}" if title else ""


def write_junit_error(path: Path, reason: str) -> None:
    """Write one test case with an error, for a replay that could not run.

    Raises ReplayError when the file cannot be written.
    """
    suite = _suite(tests=1, errors=1)
    case = ElementTree.SubElement(suite, "testcase", classname=_SUITE, name="replay")
    ElementTree.SubElement(case, "error", message=shown(reason, _LONGEST))
    _write(path, suite)


def _suite(tests: int, failures: int = 0, errors: int = 0) -> ElementTree.Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    return ElementTree.Element(
        "testsuite", {"name": _SUITE, **{name: str(count) for name, count in counts.items()}}
    )


def _write(path: Path, suite: ElementTree.Element) -> None:
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    try:
        write_output(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    except FileError as error:
        raise ReplayError(str(error)) from error
