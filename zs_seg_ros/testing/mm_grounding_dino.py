# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""MM Grounding DINO checkpoints with random weights, whose architecture LLMDet has, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.testing.grounding_dino import published_grounding_dino_config, write_grounding_dino


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write the shape of iSEE-Laboratory/llmdet_tiny, that of the tiny MM Grounding DINO, with random weights."""
    write_grounding_dino(folder, published_grounding_dino_config("mm-grounding-dino"), words=words)
