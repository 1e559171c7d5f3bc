# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Small checkpoints of models with a video memory, for tests of several folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgetam_checkpoint import write_edgetam_video

from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import shift_object_score, small_sam2_memory_config, write_sam2
from zs_seg_ros.testing.sam3 import small_sam3_memory_config, write_sam3

KINDS = ("sam2", "edgetam", "sam3")


def write_video_model(kind: str, folder: Path, words: Sequence[str] = (), seed: int = 5) -> None:
    """Write a small checkpoint of a video model."""
    if kind == "sam2":
        write_sam2(folder, small_sam2_memory_config(), seed=seed)
    elif kind == "edgetam":
        write_edgetam_video(folder, seed=seed)
    else:
        write_sam3(folder, small_sam3_memory_config(), words=words, seed=seed)


def write_following_model(kind: str, folder: Path, words: Sequence[str]) -> str:
    """Write a model whose memory finds its object in every image. Returns its name: SAM 3, or OWLv2 with the others."""
    write_video_model(kind, folder / kind, words=words, seed=3)
    shift_object_score(folder / kind, 1000.0)
    if kind == "sam3":
        return str(folder / kind)
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=words, seed=1)
    return f"{folder / 'owlv2'} + {folder / kind}"
