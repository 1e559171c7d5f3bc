"""Everything that this package raises on purpose.

    ZeroShotSegmentationError
    ├── VocabularyError        a vocabulary is refused; the one in force stays
    ├── ImageError             an image or message cannot be read; the next one can
    ├── ModelError             a model cannot be used
    │   ├── ModelNotFoundError      it is not on disk
    │   └── DeviceError        the wanted device or precision is not to be had
    ├── BagError         a recording, or a topic of it, cannot be read
    ├── LabellingError         a labelled recording cannot be made
    ├── ReplayError            a replay cannot run, or its golden file cannot be used
    ├── FileError              a file cannot be read or written, or is none that may be
    └── YamlError              a YAML text is damaged, or has what is not accepted

Each message is one sentence that says what is wrong, with the value, and what to do.
"""

from __future__ import annotations


class ZeroShotSegmentationError(Exception):
    """The root of the hierarchy."""


class VocabularyError(ZeroShotSegmentationError):
    """A vocabulary is refused."""


class ImageError(ZeroShotSegmentationError):
    """An image cannot be read."""


class ModelError(ZeroShotSegmentationError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """A model is not on disk."""


class DeviceError(ModelError):
    """The wanted device or precision is not to be had."""


class BagError(ZeroShotSegmentationError):
    """A recording, or a topic of it, cannot be read."""


class LabellingError(ZeroShotSegmentationError):
    """A labelled recording cannot be made."""


class ReplayError(ZeroShotSegmentationError):
    """A replay cannot run, or its golden file cannot be used."""


class FileError(ZeroShotSegmentationError):
    """A file cannot be read or written, or is of a kind that is left alone."""


class YamlError(ZeroShotSegmentationError):
    """A YAML text is damaged, or has what is not accepted."""
