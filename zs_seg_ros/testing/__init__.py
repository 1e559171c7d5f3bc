"""Checkpoints of real architectures with random weights, for tests and benchmarks.

They are written and loaded the way real ones are, and need no download. What they answer means nothing. One family
a file: its published shape, a small one, and how it is written.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.errors import ModelError

# Each has a module here, with _ for -, that has `write_published`, which writes the published shape to a folder.
_PUBLISHED = (
    "clipseg",
    "grounding-dino",
    "omdet-turbo",
    "owlv2",
    "sam2",
    "sam3",
    "sam_hq",
    "segformer",
    "tipsv2",
)


def write_published(kinds: str, folder: Path, words: Sequence[str] = ()) -> str:
    """Write checkpoints of the published shapes of one kind, or of two joined by `+`; returns the model to load.

    words: those that are one token each, as common words are for a published tokenizer; others fall into letters.
    Raises ModelError for a kind that is not known.
    """
    from zs_seg_ros.segmenters.shared.pretrained import quiet

    models = []
    for kind in (part.strip() for part in kinds.split("+")):
        if kind not in _PUBLISHED:
            raise ModelError(
                f"there is no published shape of a kind {kind!r}; there are {', '.join(_PUBLISHED)}"
            )
        path = folder / kind
        path.mkdir()
        with quiet():
            module = importlib.import_module(f"zs_seg_ros.testing.{kind.replace('-', '_')}")
            module.write_published(path, words)
        models.append(str(path))
    return " + ".join(models)
