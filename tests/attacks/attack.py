# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""An attack: one input with its right outcome, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HANG_S = 5.0
"""Seconds that a process may have for itself until it answers: see own_time."""
START_S = 25.0
"""Seconds for the start of a process on a busy machine; a process hangs when it needs HANG_S more."""
LOADING_S = 120.0
"""Seconds for the start of a node with a model."""
MEMORY_MB = 600.0
"""Bound of the peak of resident memory above its state before the input, or above a good run of the command."""
VOCABULARY_MEMORY = 1.5
"""Bound of the peak of resident memory with a hostile vocabulary, as a multiple of that before all of them."""
REQUESTS_MB = 200.0
"""What DDS and Python may keep for requests of megabytes, however small the model is."""
TRACEBACK = "Traceback (most recent call last)"
LONGEST_SENTENCE = 2000


class HangError(Exception):
    """The process under attack gave no answer in time."""


@dataclass(frozen=True)
class Attack:
    """name: the same in every run with the same seed. act: sends the input; returns '' or what is wrong."""

    name: str
    act: Callable[[Any], str]


@dataclass
class Counts:
    """The figures of a run; all but `inputs` must be 0."""

    inputs: int = 0
    tracebacks: int = 0
    hangs: int = 0
    memory: int = 0
    changed_files: int = 0
    wrong_outcomes: int = 0
    findings: list[str] = field(default_factory=list)

    def faults(self) -> int:
        return self.tracebacks + self.hangs + self.memory + self.changed_files + self.wrong_outcomes


def sentence_fault(text: str) -> str:
    """Return '' for one printable sentence of bounded length, or what is wrong with it."""
    if not text.strip():
        return "refused without a word"
    if len(text) > LONGEST_SENTENCE:
        return f"a sentence of {len(text)} characters"
    if not text.isprintable():
        return f"a sentence that is not printable: {text[:200]!r}"
    return ""
