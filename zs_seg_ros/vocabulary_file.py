"""A vocabulary in a YAML file, for people to write.

classes:
  - name: mug
    prompts: [red mug, red coffee cup]   # optional
    threshold: 0.6                       # optional
  - duck                                 # a name alone will do
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary import TargetClass

_FIELDS = {"name", "prompts", "threshold"}


def read_vocabulary_file(path: str | Path) -> tuple[TargetClass, ...]:
    """The classes of a file. Raises VocabularyError when it cannot be read or is not of the form above."""
    file = Path(path).expanduser()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise VocabularyError(f"the vocabulary file {file} cannot be read: {reason}") from error
    if not (isinstance(content, dict) and isinstance(content.get("classes"), list)):
        raise VocabularyError(f"the vocabulary file {file} has no list named 'classes'")
    return tuple(_target(entry, file) for entry in content["classes"])


def _target(entry: Any, file: Path) -> TargetClass:
    if isinstance(entry, str):
        return TargetClass(entry)
    if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
        raise VocabularyError(f"in {file}, {entry!r} is neither a name nor a mapping with a name")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise VocabularyError(
            f"in {file}, class {entry['name']!r} has the unknown field {unknown[0]!r}"
        )
    prompts, threshold = entry.get("prompts", []), entry.get("threshold", 0.0)
    if not (isinstance(prompts, list) and all(isinstance(prompt, str) for prompt in prompts)):
        raise VocabularyError(
            f"in {file}, the prompts of {entry['name']!r} are not a list of texts"
        )
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise VocabularyError(f"in {file}, the threshold of {entry['name']!r} is not a number")
    return TargetClass(entry["name"], tuple(prompts), float(threshold))
