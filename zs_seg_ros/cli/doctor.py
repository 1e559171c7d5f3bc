# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

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
