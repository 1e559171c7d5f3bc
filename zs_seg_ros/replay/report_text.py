# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The report as text, for the terminal."""

from __future__ import annotations

from zs_seg_ros.replay.latency import latency_text
from zs_seg_ros.replay.report import Report
from zs_seg_ros.shown import shown


def text_report(report: Report) -> str:
    """Return a line per class, a line per check, and a summary."""
    verdict = report.verdict
    names = [shown(c.name) for c in verdict.classes]
    width = max(len(name) for name in ("class", *names))
    lines = [f"{'class':<{width}}     IoU  matched  missed  new"]
    for name, c in zip(names, verdict.classes, strict=True):
        note = f"  {shown(c.note, 300)}" if c.note else ""
        lines.append(
            f"{name:<{width}}  {c.iou:.4f}  {c.matched:>7}  {c.missed:>6}  {c.new:>3}  "
            f"{_word(c.passed)}{note}"
        )
    lines += ["", f"{'check':<16}  {'measured':<36}  allowed"]
    for check in verdict.checks:
        lines.append(
            f"{check.name:<16}  {check.value:<36}  {check.limit:<7}  {_word(check.passed)}"
        )
    if report.rate is not None:
        lines += ["", latency_text(report.latencies)]
    for change in report.changes:
        lines += ["", f"Note: {shown(change, 1000)}."]
    lines += ["", summary(report)]
    return "\n".join(lines)


def summary(report: Report) -> str:
    """Return the verdict in one sentence."""
    verdict = report.verdict
    outcome = "SAME" if verdict.passed else "DIFFERENT"
    return (
        f"{outcome}: {verdict.frames} frames {report.mode} in {report.seconds:.1f} s, mIoU {verdict.mean_iou:.4f}, "
        f"{verdict.differing} frames differ beyond a tolerance."
    )


def _word(passed: bool) -> str:
    return "ok" if passed else "DIFFERS"
