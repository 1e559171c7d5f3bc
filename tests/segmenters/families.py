# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every family of models, each as a small checkpoint of random weights in the published format.

`test_conformance.py` runs over `FAMILIES`. A new family is one more entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from edgetam_checkpoint import write_small_edgetam
from safetensors.torch import save_file

from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.engines.export import export_model
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg
from zs_seg_ros.testing.eomt import small_eomt_config, write_eomt
from zs_seg_ros.testing.florence2 import small_florence2_config, write_florence2
from zs_seg_ros.testing.grounding_dino import small_grounding_dino_config, write_grounding_dino
from zs_seg_ros.testing.omdet_turbo import small_omdet_turbo_config, write_omdet_turbo
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.testing.sam3 import (
    small_sam3_config,
    small_sam3_lite_text_config,
    small_sam3_video_config,
    write_sam3,
)
from zs_seg_ros.testing.sam_hq import small_sam_hq_config, write_sam_hq
from zs_seg_ros.testing.segformer import SMALL_LABELS, small_segformer_config, write_segformer
from zs_seg_ros.testing.tipsv2 import small_tipsv2_config, write_tipsv2

WORDS = ("red", "blue", "green", "big", "small", "old", "mug", "ball", "car", "duck")


@dataclass(frozen=True)
class Family:
    """One family.

    write: writes a checkpoint into an empty folder and returns the name to load. threshold: a threshold at which a
    tenth to nine tenths of an image of noise are labelled. fused: whether its text encoder or decoder combines all
    classes, so that a class may depend on the others, as the page on models says. classes: the names of a closed-set
    model, empty for any words. half_agreement: the least share of pixels whose label is the same in half precision.
    exemplars: whether it takes example images. shared_space: whether words and images have one space.
    mask_prompts: whether it takes points and boxes. engine: for `LoadOptions`.
    """

    name: str
    write: Callable[[Path], str]
    threshold: float = 0.5
    fused: bool = False
    classes: tuple[str, ...] = ()
    half_agreement: float = 0.9
    exemplars: bool = False
    shared_space: bool = False
    mask_prompts: bool = False
    engine: str = "torch"

    def exported(self) -> Family:
        """Return the family computed by ONNX Runtime."""

        def write(folder: Path) -> str:
            model = self.write(folder)
            list(export_model(model, LoadOptions(), int8=False))
            return model

        return replace(self, name=f"{self.name} by onnxruntime", write=write, engine="onnxruntime")

    def names(self, count: int) -> list[str]:
        """Return different class names that the family accepts."""
        if self.classes:
            return list(self.classes[:count])
        prompts = [
            f"{a} {b} {c}" for a in WORDS[:6] for b in WORDS[:6] for c in WORDS[6:] if a != b
        ]
        return prompts[::7][:count] if count <= 17 else prompts[:count]


def write_small_dense(folder: Path) -> str:
    torch.manual_seed(3)
    config = DenseConfig(
        ("a", *WORDS),
        widths=(8, 8, 8, 8),
        embedding_dim=8,
        colour_dim=3,
        backbone_widths=(8, 4, 4, 4, 8, 8),
    )
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


def write_small_owlv2_and_sam2(folder: Path) -> str:
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=WORDS, seed=1)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / 'owlv2'} + {folder / 'sam2'}"


def write_small_owlv2_and_sam_hq(folder: Path) -> str:
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=WORDS, seed=1)
    write_sam_hq(folder / "sam_hq", small_sam_hq_config(), seed=1)
    return f"{folder / 'owlv2'} + {folder / 'sam_hq'}"


def write_small_owlv2_and_edgetam(folder: Path) -> str:
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=WORDS, seed=1)
    (folder / "edgetam").mkdir()
    write_small_edgetam(folder / "edgetam", seed=3)
    return f"{folder / 'owlv2'} + {folder / 'edgetam'}"


def write_small_sam3(folder: Path) -> str:
    write_sam3(folder, small_sam3_config(), words=WORDS)
    return str(folder)


def write_small_sam3_lite_text(folder: Path) -> str:
    write_sam3(folder, small_sam3_lite_text_config(), words=WORDS)
    return str(folder)


def write_small_sam3_video(folder: Path) -> str:
    write_sam3(folder, small_sam3_video_config(), words=WORDS)
    return str(folder)


def write_small_segformer(folder: Path) -> str:
    write_segformer(folder, small_segformer_config(), 64)
    return str(folder)


def write_small_eomt(folder: Path) -> str:
    write_eomt(folder, small_eomt_config(), seed=1)
    return str(folder)


def write_small_grounding_dino_and_sam2(folder: Path, kind: str = "grounding-dino") -> str:
    write_grounding_dino(folder / kind, small_grounding_dino_config(kind), (64, 96), words=WORDS)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / kind} + {folder / 'sam2'}"


def write_small_mm_grounding_dino_and_sam2(folder: Path) -> str:
    return write_small_grounding_dino_and_sam2(folder, "mm-grounding-dino")


def write_small_omdet_turbo_and_sam2(folder: Path) -> str:
    write_omdet_turbo(folder / "omdet-turbo", small_omdet_turbo_config(), 64, words=WORDS)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / 'omdet-turbo'} + {folder / 'sam2'}"


def write_small_florence2_and_sam2(folder: Path) -> str:
    write_florence2(folder / "florence2", small_florence2_config(), 64, words=WORDS)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / 'florence2'} + {folder / 'sam2'}"


def write_small_tipsv2(folder: Path) -> str:
    write_tipsv2(folder, small_tipsv2_config(), 56, words=WORDS)
    return str(folder)


FAMILIES = (
    Family("dense", write_small_dense, threshold=0.7, exemplars=True, shared_space=True),
    Family("clipseg", write_small_clipseg, threshold=0.3, exemplars=True, shared_space=True),
    Family(
        "owlv2+sam2",
        write_small_owlv2_and_sam2,
        threshold=0.5,
        exemplars=True,
        mask_prompts=True,
    ),
    Family(
        "owlv2+sam_hq",
        write_small_owlv2_and_sam_hq,
        threshold=0.5,
        exemplars=True,
        mask_prompts=True,
    ),
    Family(
        "owlv2+edgetam",
        write_small_owlv2_and_edgetam,
        threshold=0.5,
        exemplars=True,
        mask_prompts=True,
    ),
    Family("sam3", write_small_sam3, threshold=0.5, exemplars=True),
    Family("sam3_video", write_small_sam3_video, exemplars=True, mask_prompts=True),
    Family("sam3_lite_text", write_small_sam3_lite_text, threshold=0.5, exemplars=True),
    Family("segformer", write_small_segformer, threshold=0.5, classes=SMALL_LABELS),
    Family("eomt", write_small_eomt, threshold=0.4, classes=SMALL_LABELS),
    Family("tipsv2", write_small_tipsv2, threshold=0.5, exemplars=True, shared_space=True),
    Family(
        "grounding-dino+sam2",
        write_small_grounding_dino_and_sam2,
        0.9,
        fused=True,
        mask_prompts=True,
    ),
    Family(
        "mm-grounding-dino+sam2",
        write_small_mm_grounding_dino_and_sam2,
        0.25,
        fused=True,
        mask_prompts=True,
    ),
    Family(
        "omdet-turbo+sam2", write_small_omdet_turbo_and_sam2, 0.9, fused=True, mask_prompts=True
    ),
    # Of random weights two tokens are nearly as probable often, and rounding decides about a whole box.
    Family(
        "florence2+sam2",
        write_small_florence2_and_sam2,
        threshold=0.05,
        half_agreement=0.5,
        mask_prompts=True,
    ),
)

EXPORTED = tuple(family.exported() for family in FAMILIES if family.name in ("dense", "clipseg"))
"""The families that ONNX Runtime computes, too."""
