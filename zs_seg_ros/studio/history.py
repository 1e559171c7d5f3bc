# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The vocabularies that were in force while the studio ran, so that a change can be undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import shown
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_MOST = 50


@dataclass(frozen=True)
class Edition:
    """A vocabulary that was in force. number: counts from 1, since versions begin anew when a node restarts.

    by_studio: whether a client of this studio has set it. restarted: whether the node has begun anew with it.
    """

    number: int
    vocabulary: Vocabulary
    warnings: tuple[str, ...] = ()
    by_studio: bool = False
    restarted: bool = False


class History:
    """The last 50 editions. The newest one is in force."""

    def __init__(self) -> None:
        self._editions: deque[Edition] = deque(maxlen=_MOST)
        self._count = 0

    @property
    def newest(self) -> Edition | None:
        """The edition in force; None while none is known."""
        return self._editions[-1] if self._editions else None

    def add(
        self, vocabulary: Vocabulary, warnings: Sequence[str] = (), by_studio: bool = False
    ) -> bool:
        """Add the vocabulary in force, and return whether anything is new.

        The studio learns of its own changes twice, from the answer and from the topic: warnings of the first stay.
        """
        newest = self.newest
        if newest is not None and _same(newest.vocabulary, vocabulary):
            if not by_studio or newest.by_studio:
                return False
            self._editions.pop()
            newest = self.newest
        else:
            self._count += 1
        restarted = newest is not None and vocabulary.version <= newest.vocabulary.version
        self._editions.append(
            Edition(self._count, vocabulary, tuple(warnings), by_studio, restarted)
        )
        return True

    def edition(self, number: Any) -> Edition:
        """Return an edition by its number. Raises StudioError for one that is not kept."""
        for edition in self._editions:
            if edition.number == number:
                return edition
        raise StudioError(f"edition {shown(number)} is not kept any more: choose one of the list")

    def as_json(self) -> list[dict[str, Any]]:
        """Return the editions for the page, the newest first."""
        return [
            {
                "edition": edition.number,
                "version": edition.vocabulary.version,
                "stamp_ms": edition.vocabulary.stamp_ns // 1_000_000,
                "names": list(edition.vocabulary.names[:20]),
                "classes": len(edition.vocabulary.classes),
                "by_studio": edition.by_studio,
                "restarted": edition.restarted,
            }
            for edition in reversed(self._editions)
        ]


def _same(one: Vocabulary, other: Vocabulary) -> bool:
    return (one.version, one.stamp_ns, one.names) == (other.version, other.stamp_ns, other.names)
