"""MM Grounding DINO checkpoints with random weights, whose architecture LLMDet has, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.testing.grounding_dino import published_grounding_dino_config, write_grounding_dino


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write the shape of iSEE-Laboratory/llmdet_tiny, that of the tiny MM Grounding DINO, with random weights."""
    write_grounding_dino(folder, published_grounding_dino_config("mm-grounding-dino"), words=words)
