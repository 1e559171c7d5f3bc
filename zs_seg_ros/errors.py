# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The exceptions that this package raises on purpose.

    ZeroShotSegmentationError
    ├── VocabularyError          a vocabulary is refused; the one in force stays
    ├── ImageError               an image or message cannot be read; the next one can
    ├── MaskPromptError          a point or a box that marks an object is refused
    ├── SelectionError           no object fits a request to select one
    │   └── NotTrackedError      the object that fits has no track id yet
    ├── ModelError               a model cannot be used
    │   ├── ModelNotFoundError   a model is not on disk
    │   ├── NoMaskPromptsError   a model takes neither points nor boxes
    │   └── DeviceError          the requested device or precision is not available
    ├── BagError                 a recording, or a topic of it, cannot be read
    ├── LabellingError           a labelled recording cannot be written
    ├── EvaluationError          ground truth cannot be read, or does not fit what is compared with it
    ├── ReplayError              a replay cannot run, or its golden file cannot be used
    ├── StudioError              the studio cannot start, or a request of its page is refused
    ├── FileError                a file cannot be read or written, or is of a kind that is refused
    └── YamlError                a YAML text is damaged, or has content that is refused

Each message is one sentence that says what is wrong, with the value, and what to do.
"""

from __future__ import annotations

from zs_seg_ros.shown import shown

_TEXT_LIMIT = 4000


class ZeroShotSegmentationError(Exception):
    """The base class of all exceptions of this package. Its text is one printable line of at most 4000 characters."""

    def __str__(self) -> str:
        return shown(super().__str__(), _TEXT_LIMIT)


class VocabularyError(ZeroShotSegmentationError):
    """A vocabulary is refused."""


class ImageError(ZeroShotSegmentationError):
    """An image cannot be read."""


class MaskPromptError(ZeroShotSegmentationError):
    """A point or a box that marks an object is refused."""


class SelectionError(ZeroShotSegmentationError):
    """No object fits a request to select one."""


class NotTrackedError(SelectionError):
    """The object that fits a request to select one has no track id yet."""


class ModelError(ZeroShotSegmentationError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """A model is not on disk."""


class NoMaskPromptsError(ModelError):
    """A model takes neither points nor boxes."""


class DeviceError(ModelError):
    """The requested device or precision is not available."""


class BagError(ZeroShotSegmentationError):
    """A recording, or a topic of it, cannot be read."""


class LabellingError(ZeroShotSegmentationError):
    """A labelled recording cannot be written."""


class NoImagesError(LabellingError):
    """Not one image of a recording could be read."""


class EvaluationError(ZeroShotSegmentationError):
    """Ground truth cannot be read, or does not fit what is compared with it."""


class ReplayError(ZeroShotSegmentationError):
    """A replay cannot run, or its golden file cannot be used."""


class StudioError(ZeroShotSegmentationError):
    """The studio cannot start, or a request of its page is refused."""


class FileError(ZeroShotSegmentationError):
    """A file cannot be read or written, or is of a kind that is refused."""


class YamlError(ZeroShotSegmentationError):
    """A YAML text is damaged, or has content that is refused."""
