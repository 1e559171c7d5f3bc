"""The vocabulary of the last run: read at the start, written after each change, where `vocabulary_file` asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.ros.parameters import ParameterError, Parameters
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import (
    parse_vocabulary,
    read_vocabulary_file,
    set_aside,
    write_vocabulary_file,
)


class SavedVocabulary:
    """Remembers what went wrong until it goes right."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._not_saved = ""
        self._set_aside = ""

    def first(self, parameters: Parameters) -> Vocabulary | None:
        """What to look for from the start: what the file says or, where there is none yet, what the parameters say.

        A damaged file is set aside, so that what it held is not lost. Raises ParameterError for a file that cannot be
        one, and VocabularyError for classes, or an initial vocabulary, that are refused.
        """
        self._set_aside = ""
        if path := parameters.vocabulary_file:
            try:
                return self._read(path, parameters)
            except OSError as error:
                raise ParameterError(
                    f"vocabulary_file is {path!r}, which cannot be used: {error.strerror or error}; give a file in "
                    "a folder that exists and that the node may read and write"
                ) from error
        return _of_parameters(parameters)

    def _read(self, path: str, parameters: Parameters) -> Vocabulary | None:
        try:
            return read_vocabulary_file(path, parameters.limits)
        except FileNotFoundError:
            if not Path(path).expanduser().parent.is_dir():
                raise
            self._log.info(f"{path} is not there yet; the first change of the vocabulary writes it")
        except VocabularyError as error:
            self._set_aside = f"{error}; it is set aside as {set_aside(path)}"
            self._log.warning(self._set_aside)
        return _of_parameters(parameters)

    def save(self, vocabulary: Vocabulary, path: str) -> list[str]:
        """Write it down, where that is asked for. Returns what went wrong, if something did."""
        self._not_saved = ""
        try:
            if path:
                write_vocabulary_file(path, vocabulary)
        except OSError as error:
            self._not_saved = (
                "the vocabulary is in force, but could not be saved and will not survive a restart: "
                f"{path}: {error.strerror or error}"
            )
            self._log.warning(self._not_saved)
        return [self._not_saved] if self._not_saved else []

    def problems(self) -> list[str]:
        return [text for text in (self._not_saved, self._set_aside) if text]


def _of_parameters(parameters: Parameters) -> Vocabulary | None:
    """`classes` before `initial_vocabulary`: a name given by hand means more than what a preset says."""
    if parameters.classes:
        classes = [TargetClass(name) for name in parameters.classes]
        return Vocabulary().changed_to(classes, parameters.limits)
    if parameters.initial_vocabulary:
        return parse_vocabulary(
            parameters.initial_vocabulary, "initial_vocabulary", parameters.limits
        )
    return None
