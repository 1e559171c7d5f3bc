"""Check the machine and print the result."""

from __future__ import annotations

import json

from zs_seg_ros.doctor.check import Check, Status, worst
from zs_seg_ros.doctor.examination import examine
from zs_seg_ros.doctor.machine import Machine


def print_examination(model: str, revision: str, as_json: bool) -> int:
    """Print all checks, and return the exit code: 1 when one of them is an error."""
    checks = examine(Machine(), model, revision)
    if as_json:
        print(json.dumps([check.as_json() for check in checks], indent=2))
    else:
        print(as_table(checks))
    return int(worst(checks) == Status.ERROR)


def as_table(checks: list[Check]) -> str:
    """Return one line per check, with its remedy on a line of its own, and a summary."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.status.name:<8} {check.name:<{width}}  {check.text}")
        if check.remedy:
            lines.append(f"{'':<8} {'':<{width}}  → {check.remedy}")
    counts = {status: sum(check.status == status for check in checks) for status in Status}
    lines.append(f"{counts[Status.ERROR]} errors, {counts[Status.WARNING]} warnings")
    return "\n".join(lines)
