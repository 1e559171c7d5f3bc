# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes checkpoints of the published architectures with random weights, in the published format.

They load like real checkpoints and need no download; their outputs have no meaning. Each family has a module in this
folder with its published architecture, a small one, and the function that writes it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.errors import ModelError
from zs_seg_ros.shown import quoted

# Each kind has a module in this folder, with _ for -, whose `write_published` writes the published architecture.
_PUBLISHED = (
    "clipseg",
    "edgetam",
    "eomt",
    "florence2",
    "grounding-dino",
    "mm-grounding-dino",
    "omdet-turbo",
    "owlv2",
    "sam2",
    "sam3",
    "sam_hq",
    "segformer",
    "tipsv2",
    "tipsv2-l14",
)


def write_published(kinds: str, folder: Path, words: Sequence[str] = ()) -> str:
    """Write checkpoints of the published architectures of one kind, or of two joined by `+`; return the model to load.

    words: those that are one token each, as common words are for a published tokenizer; others are split into letters.
    Raises ModelError for an unknown kind.
    """
    from zs_seg_ros.segmenters.shared.pretrained import quiet

    models = []
    for kind in (part.strip() for part in kinds.split("+")):
        if kind not in _PUBLISHED:
            raise ModelError(
                f"there is no published architecture of a kind {quoted(kind)}; there are {', '.join(_PUBLISHED)}"
            )
        path = folder / kind
        path.mkdir()
        with quiet():
            module = importlib.import_module(f"zs_seg_ros.testing.{kind.replace('-', '_')}")
            module.write_published(path, words)
        models.append(str(path))
    return " + ".join(models)
