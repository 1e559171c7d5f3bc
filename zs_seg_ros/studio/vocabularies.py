# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Vocabularies as JSON for the page, and back. Example images stay here; the page has a key and a thumbnail of each."""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.studio.frames import colour_text
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

_MOST_KEPT = 256
_MOST_CLASSES = 10_000
_THUMBNAIL_PX = 56
_MARK = (255, 64, 160)


class Exemplars:
    """The example images that the page knows by a key. The oldest of more than 256 are forgotten."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, tuple[Exemplar, str]] = OrderedDict()

    def entry(self, exemplar: Exemplar) -> dict[str, str]:
        """Return the key and the thumbnail, a data URL, of an example image."""
        key = self._key(exemplar)
        if key not in self._by_key:
            self._by_key[key] = exemplar, _thumbnail(exemplar)
        self._by_key.move_to_end(key)
        while len(self._by_key) > _MOST_KEPT:
            self._by_key.popitem(last=False)
        return {"key": key, "thumbnail": self._by_key[key][1]}

    def get(self, key: Any) -> Exemplar:
        """Return the example image of a key. Raises VocabularyError for one that is not known (any more)."""
        if not isinstance(key, str) or key not in self._by_key:
            raise VocabularyError(
                f"the example image {quoted(key)} is not known any more: take it out, or mark the object again"
            )
        return self._by_key[key][0]

    def _key(self, exemplar: Exemplar) -> str:
        digest = hashlib.sha256(np.array(exemplar.image.shape).tobytes())
        digest.update(np.ascontiguousarray(exemplar.image).data)
        if exemplar.mask is not None:
            digest.update(np.ascontiguousarray(exemplar.mask).data)
        return digest.hexdigest()[:24]


def vocabulary_json(vocabulary: Vocabulary, exemplars: Exemplars) -> dict[str, Any]:
    """Return a vocabulary for the page."""
    return {
        "version": vocabulary.version,
        "stamp_ms": vocabulary.stamp_ns // 1_000_000,
        "classes": [
            class_json(target, given, exemplars)
            for target, given in zip(vocabulary.classes, vocabulary.ids, strict=True)
        ],
    }


def class_json(target: TargetClass, label: int, exemplars: Exemplars) -> dict[str, Any]:
    """Return a class for the page. label: its value in label images; 0 while it is not in force."""
    return {
        "name": target.name,
        "id": target.id,
        "label": label,
        "colour": colour_text(label) if label else "#888888",
        "prompts": list(target.prompts),
        "negatives": list(target.negatives),
        "threshold": round(target.threshold, 6),
        "exemplars": [exemplars.entry(exemplar) for exemplar in target.exemplars],
    }


def classes_from_json(entries: Any, exemplars: Exemplars) -> tuple[TargetClass, ...]:
    """Return the classes that the page sends. Raises VocabularyError for wrong ones; their words are checked later."""
    if not isinstance(entries, list) or len(entries) > _MOST_CLASSES:
        raise VocabularyError(f"classes must be a list of at most {_MOST_CLASSES}")
    return tuple(_class_from_json(entry, exemplars) for entry in entries)


def _class_from_json(entry: Any, exemplars: Exemplars) -> TargetClass:
    match entry:
        case {"name": str(name)}:
            pass
        case _:
            raise VocabularyError(f"a class is {shown(entry)}, and not an object with a name")
    threshold, number = entry.get("threshold", 0), entry.get("id", 0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise VocabularyError(f"the threshold of {quoted(name)} is not a number")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 65535:
        raise VocabularyError(f"the id of {quoted(name)} is not 0 to 65535")
    examples = entry.get("exemplars", [])
    if not isinstance(examples, list):
        raise VocabularyError(f"the example images of {quoted(name)} are not a list")
    return TargetClass(
        name,
        _texts(entry, "prompts"),
        float(threshold),
        tuple(exemplars.get(e.get("key") if isinstance(e, dict) else None) for e in examples),
        number,
        _texts(entry, "negatives"),
    )


def _texts(entry: dict[str, Any], field: str) -> tuple[str, ...]:
    texts = entry.get(field, [])
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise VocabularyError(f"the {field} of {quoted(entry['name'])} are not a list of texts")
    return tuple(texts)


def warnings_json(warnings: Sequence[str], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return warnings with the names of the classes that each of them quotes."""
    names = [(name, quoted(name)) for name in vocabulary.names] if warnings else []
    return [
        {"text": text, "classes": [name for name, quote in names if quote in text]}
        for text in warnings
    ]


def _thumbnail(exemplar: Exemplar) -> str:
    """Return a JPEG of the object with its mask outlined, as a data URL."""
    image = np.array(exemplar.image)
    if exemplar.mask is not None:
        rows, columns = np.nonzero(exemplar.mask)
        top, left = max(0, rows.min() - 4), max(0, columns.min() - 4)
        bottom, right = rows.max() + 5, columns.max() + 5
        mask = exemplar.mask.astype(np.uint8)
        border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        image[border] = _MARK
        image = image[top:bottom, left:right]
    height, width = image.shape[:2]
    scale = _THUMBNAIL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(image[..., ::-1]), size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small)[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
