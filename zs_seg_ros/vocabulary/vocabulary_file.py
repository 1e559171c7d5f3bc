# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A vocabulary in a YAML file: written by people, or by the node so that it survives a restart.

classes:
  - name: mug
    prompts: [red mug, red coffee cup]   # optional
    threshold: 0.6                       # optional
    id: 7                                # optional: the value in label images
    negatives: [red jar]                 # optional: phrases that win against the class
  - duck                                 # a name is enough

The node adds `version` and `ids`, of all names that ever had one, and keeps exemplars as PNG in base64.
"""

from __future__ import annotations

import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from zs_seg_ros.errors import FileError, VocabularyError, YamlError
from zs_seg_ros.files import read_regular_file, user_path, write_atomically
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.user_yaml import MOST_BYTES, parse_user_yaml
from zs_seg_ros.vocabulary.exemplar_text import ExemplarReader, exemplar_entry
from zs_seg_ros.vocabulary.vocabulary import DEFAULT_LIMITS, Limits, TargetClass, Vocabulary

HEADING = "# Written by zs_seg_ros after each change of its vocabulary. Edit it while the node is not running.\n"
"""The first line of each file that the node writes."""
_ENTRIES = {"classes", "version", "ids"}
_FIELDS = {"name", "id", "prompts", "threshold", "exemplars", "negatives"}
_NO_LIMITS = Limits(*[sys.maxsize] * len(fields(Limits)))


def read_vocabulary_file(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Vocabulary:
    """Return the vocabulary of a file; names without an id there get new ones.

    Raises FileNotFoundError when there is no such file, FileError when it is another kind of file or cannot be read,
    and VocabularyError when its content is not of the form above.
    """
    data = read_regular_file(path, MOST_BYTES)
    where = f"the vocabulary file {shown(str(path), 300)}"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{where} cannot be read: it is no text in UTF-8") from error
    return parse_vocabulary(text, where, limits)


def parse_vocabulary(text: str, where: str, limits: Limits = DEFAULT_LIMITS) -> Vocabulary:
    """Return the vocabulary of a YAML text; `where` names the text in errors. Raises VocabularyError."""
    try:
        content = parse_user_yaml(text)
    except YamlError as error:
        raise VocabularyError(f"{where} cannot be read: {error}") from error
    if not (isinstance(content, dict) and isinstance(content.get("classes"), list)):
        raise VocabularyError(f"{where} has no list named 'classes'")
    if unknown := [key for key in content if key not in _ENTRIES]:
        raise VocabularyError(f"{where} has the unknown entry {quoted(unknown[0])}; take it out")
    ids, version = content.get("ids", {}), content.get("version", 1)
    if not (isinstance(ids, dict) and all(map(_is_id, ids.items())) and _is_whole(version)):
        raise VocabularyError(f"in {where}, ids or version are not what the node writes there")
    exemplars = ExemplarReader(limits.exemplar_pixels)
    classes = tuple(class_of_entry(entry, where, exemplars) for entry in content["classes"])
    try:
        return Vocabulary.restored(classes, ids, version, limits)
    except VocabularyError as error:
        raise VocabularyError(f"in {where}, {error}") from error


def is_blank(path: str | Path) -> bool:
    """Return whether a regular file is empty or holds only white space, so that it may be overwritten.

    Raises FileNotFoundError and FileError.
    """
    return not read_regular_file(path, MOST_BYTES).strip()


def has_heading(path: str | Path) -> bool:
    """Return whether a regular file begins with the heading of the node. Raises FileNotFoundError and FileError."""
    return read_regular_file(path, MOST_BYTES).startswith(HEADING.encode())


def is_vocabulary_file(path: Path) -> bool:
    """Return whether the node may replace a file: it has the heading, is blank, or holds a vocabulary of any size."""
    try:
        return has_heading(path) or is_blank(path) or holds_vocabulary(path)
    except (OSError, FileError):
        return False


def holds_vocabulary(path: str | Path) -> bool:
    """Return whether a regular file holds a vocabulary of any size. Raises FileNotFoundError and FileError."""
    try:
        read_vocabulary_file(path, _NO_LIMITS)
    except VocabularyError:
        return False
    return True


def set_aside(path: str | Path) -> Path:
    """Rename a damaged file that the node wrote, so that it is neither read again nor replaced; return its new path.

    Raises FileError for a file without the heading and for a symbolic link, which are not renamed, and where the
    folder may not be written.
    """
    file = user_path(path)
    if file.is_symlink() or not has_heading(file):
        raise FileError(f"{shown(str(file), 300)} was not written by the node and is left as it is")
    aside = file.with_name(f"{file.name}.damaged-{time.time_ns()}")
    try:
        file.rename(aside)
    except OSError as error:
        raise FileError(f"{shown(str(file), 300)} cannot be set aside: {error.strerror}") from error
    return aside


def write_vocabulary_file(path: str | Path, vocabulary: Vocabulary) -> None:
    """Write a vocabulary atomically; an existing file that is no vocabulary is not replaced.

    Raises FileError, also for content that is too large to be read again; the old file is then unchanged.
    """
    content = {
        "version": vocabulary.version,
        "classes": [_entry(target) for target in vocabulary.classes],
        "ids": dict(vocabulary.ids_given),
    }
    data = (HEADING + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()
    if len(data) > MOST_BYTES:
        raise FileError(
            f"{shown(str(path), 300)} would have {len(data)} bytes, more than the {MOST_BYTES} that are read again; "
            "give fewer or smaller exemplars"
        )
    write_atomically(path, data, is_vocabulary_file)


def vocabulary_text(vocabulary: Vocabulary) -> str:
    """Return the classes as the YAML text of a vocabulary file, without what the node adds."""
    classes = [_entry(target) for target in vocabulary.classes]
    text: str = yaml.safe_dump({"classes": classes}, sort_keys=False, allow_unicode=True)
    return text


def class_of_entry(entry: Any, where: str, exemplars: ExemplarReader | None = None) -> TargetClass:
    """Return the class of a YAML entry: a name, or a mapping with a name. where: names the file in errors.

    exemplars: reads its example images. Raises VocabularyError for another entry.
    """
    if isinstance(entry, str):
        return TargetClass(entry)
    if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
        raise VocabularyError(
            f"in {where}, {quoted(entry)} is neither a name nor a mapping with a name"
        )
    name = quoted(entry["name"])
    unknown = [field for field in entry if field not in _FIELDS]
    if unknown:
        raise VocabularyError(
            f"in {where}, class {name} has the unknown field {quoted(unknown[0])}"
        )
    prompts, negatives = (_texts(entry, field, where) for field in ("prompts", "negatives"))
    threshold = entry.get("threshold", 0.0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise VocabularyError(f"in {where}, the threshold of {name} is not a number")
    if not _is_whole(number := entry.get("id", 0)):
        raise VocabularyError(f"in {where}, the id of {name} is not a whole number")
    try:
        reader = exemplars or ExemplarReader(DEFAULT_LIMITS.exemplar_pixels)
        images = reader.read(entry.get("exemplars", []))
    except (ValueError, VocabularyError) as error:
        raise VocabularyError(
            f"in {where}, an exemplar of {name} cannot be read: {shown(error)}"
        ) from error
    return TargetClass(entry["name"], prompts, float(threshold), images, number, negatives)


def _texts(entry: dict[str, Any], field: str, where: str) -> tuple[str, ...]:
    texts = entry.get(field, [])
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        name = quoted(entry["name"])
        raise VocabularyError(f"in {where}, the {field} of {name} are not a list of texts")
    return tuple(texts)


def _entry(target: TargetClass) -> dict[str, Any]:
    """Return the YAML entry of a class: its name, and the fields that differ from their defaults."""
    entry: dict[str, Any] = {"name": target.name}
    if target.id:
        entry["id"] = target.id
    if target.prompts:
        entry["prompts"] = list(target.prompts)
    if target.threshold:
        entry["threshold"] = target.threshold
    if target.exemplars:
        entry["exemplars"] = [exemplar_entry(exemplar) for exemplar in target.exemplars]
    if target.negatives:
        entry["negatives"] = list(target.negatives)
    return entry


def _is_id(item: tuple[Any, Any]) -> bool:
    name, given = item
    return isinstance(name, str) and _is_whole(given)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
