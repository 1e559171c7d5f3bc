"""Every family of models, each as a small checkpoint of random weights that is written and loaded as real ones are.

`test_conformance.py` runs over `FAMILIES`. A new family is one more entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from zs_seg_ros.segmenters.dense_network import DenseConfig, DenseNetwork
from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg

WORDS = ("red", "blue", "green", "big", "small", "old", "mug", "ball", "car", "duck")


@dataclass(frozen=True)
class Family:
    """One family.

    write: puts a checkpoint into an empty folder and returns the name to load. threshold: at which it finds something
    in about a tenth to nine tenths of a picture of noise. fused: its text encoder or decoder sees all classes at
    once, so that a class may depend on the others; the page on models says so. classes: the only names that it knows,
    empty for any words. half_agreement: the least share of pixels whose label is the same in 16 bits. exemplars:
    whether it takes pictures in place of words.
    """

    name: str
    write: Callable[[Path], str]
    threshold: float = 0.5
    fused: bool = False
    classes: tuple[str, ...] = ()
    half_agreement: float = 0.9
    exemplars: bool = False

    def names(self, count: int) -> list[str]:
        """Different class names that it can look for."""
        if self.classes:
            return list(self.classes[:count])
        phrases = [
            f"{a} {b} {c}" for a in WORDS[:6] for b in WORDS[:6] for c in WORDS[6:] if a != b
        ]
        return phrases[::7][:count] if count <= 17 else phrases[:count]


def write_small_dense(folder: Path) -> str:
    torch.manual_seed(1)
    config = DenseConfig(("a", *WORDS), widths=(8, 8, 8, 8), embedding_dim=8, colour_dim=3)
    network = DenseNetwork(config)
    with torch.no_grad():
        network.bias.copy_(torch.tensor([1.0, 1.0]))
        network.image.shape.embed.weight.mul_(10)
        network.image.colour.embed.weight.mul_(10)
    config.write(folder / "config.json")
    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    return str(folder)


def write_small_clipseg(folder: Path) -> str:
    write_clipseg(folder, small_clipseg_config(), 64, words=WORDS)
    return str(folder)


FAMILIES = (
    Family("dense", write_small_dense, threshold=0.7),
    Family("clipseg", write_small_clipseg, threshold=0.3, exemplars=True),
)
