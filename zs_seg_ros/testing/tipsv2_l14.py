"""The large TIPSv2 with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.testing.tipsv2 import published_tipsv2_l14_config, with_templates, write_tipsv2


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write google/tipsv2-l14 with random weights; the words of its templates are one token each, too."""
    write_tipsv2(folder, published_tipsv2_l14_config(), words=with_templates(words))
