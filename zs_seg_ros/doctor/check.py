# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The result of one check of the machine."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass


class Status(enum.IntEnum):
    """How a check ended; the largest is the worst."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True)
class Check:
    """One check. text: the state, without a full stop; remedy: one sentence, empty where nothing is to be done."""

    name: str
    status: Status
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the check as texts: name, status, text, remedy."""
        return asdict(self) | {"status": self.status.name}


def ok(name: str, text: str) -> Check:
    return Check(name, Status.OK, text)


def warning(name: str, text: str, remedy: str) -> Check:
    return Check(name, Status.WARNING, text, remedy)


def error(name: str, text: str, remedy: str) -> Check:
    return Check(name, Status.ERROR, text, remedy)


def worst(checks: Iterable[Check]) -> Status:
    """Return the worst status; OK for none."""
    return max((check.status for check in checks), default=Status.OK)
