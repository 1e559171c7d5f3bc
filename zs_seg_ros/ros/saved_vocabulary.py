# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The vocabulary of the last run, in the file of the parameter `vocabulary_file`, written after each change."""

from __future__ import annotations

from typing import Any

from zs_seg_ros.errors import FileError, VocabularyError
from zs_seg_ros.files import user_path
from zs_seg_ros.ros.parameters.node_parameters import ParameterError, Parameters
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import (
    has_heading,
    holds_vocabulary,
    is_blank,
    parse_vocabulary,
    read_vocabulary_file,
    set_aside,
    write_vocabulary_file,
)
from zs_seg_ros.vocabulary.vocabulary_lock import VocabularyLock


class SavedVocabulary:
    """The locked vocabulary file of this node, from `first` to `release`, and the problems with it."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._lock: VocabularyLock | None = None
        self._not_saved = ""
        self._set_aside = ""

    def first(self, parameters: Parameters) -> Vocabulary | None:
        """Return the first vocabulary: that of the file or, where there is none yet, that of the parameters.

        A damaged file that the node wrote is renamed, so that its content is not lost; any other file that holds no
        vocabulary, or one beyond the limits, is not changed. Raises ParameterError for a file that cannot be used or
        is in use by another node, and VocabularyError for a file, classes or an initial vocabulary that are refused.
        """
        self._set_aside = ""
        self.release()
        path = parameters.vocabulary_file
        if not path:
            return _of_parameters(parameters)
        try:
            self._read(
                path, parameters
            )  # before locking, so that no lock file is created beside a file that is no vocabulary
            self._lock = VocabularyLock(path, self._log.name)
            vocabulary, damage = self._read(path, parameters)
            if damage:
                self._set_aside = f"{damage}; it is set aside as {shown(set_aside(path), 300)}"
                self._log.warning(self._set_aside)
        except FileNotFoundError as error:  # the folder; a missing file is no error
            self.release()
            raise ParameterError(
                f"vocabulary_file is {quoted(path, 300)}, which cannot be used: {error.strerror}; give a file in "
                "a folder that exists and that the node may read and write"
            ) from error
        except FileError as error:
            self.release()
            raise ParameterError(f"vocabulary_file is refused: {error}") from error
        except VocabularyError:
            self.release()
            raise
        if vocabulary is not None:
            return vocabulary
        if not damage:
            self._log.info(
                f"{shown(path, 300)} holds no vocabulary yet; the first change of the vocabulary writes it"
            )
        return _of_parameters(parameters)

    def _read(self, path: str, parameters: Parameters) -> tuple[Vocabulary | None, str]:
        """Return the vocabulary of the file, or None, and the damage of a file that the node wrote; empty without."""
        try:
            return read_vocabulary_file(path, parameters.limits), ""
        except FileNotFoundError:
            return None, ""
        except VocabularyError as error:
            if is_blank(path):
                return None, ""
            if holds_vocabulary(path):  # the file is good, and the limits were lowered since
                raise VocabularyError(
                    f"{error}; the file is left as it is: raise that limit, or give vocabulary_file another path"
                ) from error
            if has_heading(path) and not user_path(path).is_symlink():
                return None, str(error)
            raise VocabularyError(
                f"{error}; it is left as it is: correct it, or give vocabulary_file another path"
            ) from error

    def save(self, vocabulary: Vocabulary, path: str) -> list[str]:
        """Write the vocabulary to the file if `path` is not empty. Returns the problem in a list; empty without one."""
        self._not_saved = ""
        try:
            if path:
                self._write(vocabulary, path)
        except FileError as error:
            self._not_saved = (
                "the vocabulary is in force, but could not be saved and will not survive a restart: "
                f"{error}"
            )
            self._log.warning(self._not_saved)
        return [self._not_saved] if self._not_saved else []

    def _write(self, vocabulary: Vocabulary, path: str) -> None:
        if self._lock is None:
            raise FileError(f"{shown(path, 300)} is no longer locked by this node")
        write_vocabulary_file(path, vocabulary)

    def release(self) -> None:
        """Release the lock of the file, if it is held."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def problems(self) -> list[str]:
        """Return the present problems with the file, one sentence each, for the diagnostics."""
        return [text for text in (self._not_saved, self._set_aside) if text]


def _of_parameters(parameters: Parameters) -> Vocabulary | None:
    """Return the vocabulary of `classes`, or else of `initial_vocabulary`; None if both are empty."""
    if parameters.classes:
        classes = [TargetClass(name) for name in parameters.classes]
        return Vocabulary().changed_to(classes, parameters.limits)
    if parameters.initial_vocabulary:
        return parse_vocabulary(
            parameters.initial_vocabulary, "initial_vocabulary", parameters.limits
        )
    return None
