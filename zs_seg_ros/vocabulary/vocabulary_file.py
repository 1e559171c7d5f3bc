"""A vocabulary in a YAML file: written by people, or by the node so that it survives a restart.

classes:
  - name: mug
    prompts: [red mug, red coffee cup]   # optional
    threshold: 0.6                       # optional
  - duck                                 # a name alone will do

The node adds `version` and `ids`, of all names that ever had one, and keeps exemplars as PNG in base64.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.vocabulary import (
    DEFAULT_LIMITS,
    Exemplar,
    Limits,
    TargetClass,
    Vocabulary,
)

_FIELDS = {"name", "prompts", "threshold", "exemplars"}
_HEADING = "# Written by zs_seg_ros after each change of its vocabulary. Edit it while the node is not running.\n"


def read_vocabulary_file(path: str | Path, limits: Limits = DEFAULT_LIMITS) -> Vocabulary:
    """The vocabulary of a file; names without an id there get new ones.

    Raises FileNotFoundError when there is no such file, and VocabularyError when it cannot be read or is not of the
    form above.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(f"the vocabulary file {file}", error) from error
    return parse_vocabulary(text, f"the vocabulary file {file}", limits)


def parse_vocabulary(text: str, where: str, limits: Limits = DEFAULT_LIMITS) -> Vocabulary:
    """The vocabulary of a YAML text; `where` names the text in errors. Raises VocabularyError."""
    try:
        content = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _unreadable(where, error) from error
    if not (isinstance(content, dict) and isinstance(content.get("classes"), list)):
        raise VocabularyError(f"{where} has no list named 'classes'")
    ids, version = content.get("ids", {}), content.get("version", 1)
    if not (isinstance(ids, dict) and all(map(_is_id, ids.items())) and _is_whole(version)):
        raise VocabularyError(f"in {where}, ids or version are not what the node writes there")
    classes = tuple(_target(entry, where) for entry in content["classes"])
    try:
        return Vocabulary.restored(classes, ids, version, limits)
    except VocabularyError as error:
        raise VocabularyError(f"in {where}, {error}") from error


def set_aside(path: str | Path) -> Path:
    """Rename a damaged file, so that it is neither read again nor written over. Raises OSError."""
    file = Path(path).expanduser()
    aside = file.with_name(f"{file.name}.damaged-{time.time_ns()}")
    file.rename(aside)
    return aside


def write_vocabulary_file(path: str | Path, vocabulary: Vocabulary) -> None:
    """Whole or not at all: whatever happens meanwhile, the file holds the old or the new vocabulary.

    Raises OSError.
    """
    file = Path(path).expanduser().resolve()
    content = {
        "version": vocabulary.version,
        "classes": [_entry(target) for target in vocabulary.classes],
        "ids": dict(vocabulary.ids_given),
    }
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("w", encoding="utf-8") as stream:
            stream.write(_HEADING)
            yaml.safe_dump(content, stream, sort_keys=False, allow_unicode=True)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _unreadable(where: str, error: Exception) -> VocabularyError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return VocabularyError(f"{where} cannot be read: {reason}")


def _target(entry: Any, where: str) -> TargetClass:
    if isinstance(entry, str):
        return TargetClass(entry)
    if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
        raise VocabularyError(f"in {where}, {entry!r} is neither a name nor a mapping with a name")
    name = entry["name"]
    unknown = sorted(map(str, set(entry) - _FIELDS))
    if unknown:
        raise VocabularyError(f"in {where}, class {name!r} has the unknown field {unknown[0]!r}")
    prompts, threshold = entry.get("prompts", []), entry.get("threshold", 0.0)
    if not (isinstance(prompts, list) and all(isinstance(prompt, str) for prompt in prompts)):
        raise VocabularyError(f"in {where}, the prompts of {name!r} are not a list of texts")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise VocabularyError(f"in {where}, the threshold of {name!r} is not a number")
    try:
        exemplars = tuple(_exemplar(exemplar) for exemplar in entry.get("exemplars", []))
    except (ValueError, TypeError, KeyError, AttributeError, cv2.error) as error:
        raise VocabularyError(f"in {where}, an exemplar of {name!r} cannot be read") from error
    return TargetClass(name, tuple(prompts), float(threshold), exemplars)


def _entry(target: TargetClass) -> dict[str, Any]:
    """What is not at its default."""
    entry: dict[str, Any] = {"name": target.name}
    if target.prompts:
        entry["prompts"] = list(target.prompts)
    if target.threshold:
        entry["threshold"] = target.threshold
    if target.exemplars:
        entry["exemplars"] = [_exemplar_entry(exemplar) for exemplar in target.exemplars]
    return entry


def _exemplar(entry: Mapping[str, str]) -> Exemplar:
    image = _decoded(entry["image"], cv2.IMREAD_COLOR)[..., ::-1]
    if "mask" not in entry:
        return Exemplar(image)
    mask = _decoded(entry["mask"], cv2.IMREAD_GRAYSCALE) > 0
    if mask.shape != image.shape[:2]:
        raise ValueError("mask and image are of different sizes")
    return Exemplar(image, mask)


def _exemplar_entry(exemplar: Exemplar) -> dict[str, str]:
    entry = {"image": _encoded(exemplar.image[..., ::-1])}
    if exemplar.mask is not None:
        entry["mask"] = _encoded(np.where(exemplar.mask, 255, 0).astype(np.uint8))
    return entry


def _encoded(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode("ascii")


def _decoded(text: str, flags: int) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), flags)
    if pixels is None:
        raise ValueError("no image")
    return np.asarray(pixels, dtype=np.uint8)


def _is_id(item: tuple[Any, Any]) -> bool:
    name, given = item
    return isinstance(name, str) and _is_whole(given)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
