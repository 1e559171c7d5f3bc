# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Changes checkpoints of random weights into the layouts in which each family is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import OmDetTurboConfig

from zs_seg_ros.testing.omdet_turbo import small_omdet_turbo_config, write_omdet_turbo

Json = dict[str, Any]
_WEIGHTS = "model.safetensors"
TIED = "prompt_encoder.shared_embedding.positional_embedding"
SOURCE = "shared_image_embedding.positional_embedding"


def change_json(path: Path, change: Callable[[Json], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def round_weights(folder: Path) -> None:
    """Round the weights of every checkpoint below `folder` to bfloat16 and store them as float32.

    Two positions of SAM 2 that are one tensor in every published checkpoint become equal.
    """
    for path in folder.rglob(_WEIGHTS):
        tensors = {name: rounded(tensor) for name, tensor in load_file(path).items()}
        if TIED in tensors:
            tensors[TIED] = tensors[SOURCE].clone()
        save(path, tensors)


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16().float() if tensor.is_floating_point() else tensor


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, path, metadata={"format": "pt"})


def to_published_layout(folder: Path) -> None:
    """Change every checkpoint of transformers below `folder`, whose weights are rounded, to its published layout."""
    for path in folder.rglob("config.json"):
        kind = json.loads(path.read_text())["model_type"]
        if kind != "zs_seg_dense":
            _change(path.parent, kind)


def _change(folder: Path, kind: str) -> None:
    _legacy_config(folder / "config.json")
    tensors = load_file(folder / _WEIGHTS)
    if kind == "clipseg":
        change_json(folder / "config.json", lambda c: c["text_config"].update(eos_token_id=2))
    if kind in ("clipseg", "owlv2"):
        for part in ("text_model", "vision_model"):
            prefix = "clip" if kind == "clipseg" else "owlv2"
            [length] = [
                len(weight)
                for name, weight in tensors.items()
                if name == f"{prefix}.{part}.embeddings.position_embedding.weight"
            ]
            tensors[f"{prefix}.{part}.embeddings.position_ids"] = torch.arange(length)[None]
    if kind in ("sam2", "sam2_video", "edgetam", "sam_hq"):
        tensors.pop(TIED, None)
    if kind in ("clipseg", "segformer"):
        _legacy_preprocessor(folder / "preprocessor_config.json", kind)
    if kind in ("clipseg", "owlv2", "omdet-turbo"):
        _split_tokenizer(folder)
    if kind == "florence2":
        change_json(folder / "config.json", _with_the_authors_keys)
    _store_in_shards(folder, tensors)


def _with_the_authors_keys(config: Json) -> None:
    """Add what the conversion of Florence-2 copied from the authors' configuration."""
    vision = config["vision_config"]
    vision.update(dim_embed=vision["embed_dim"], image_feature_source=["spatial_avg_pool"])
    vision["image_pos_embed"] = {"type": "learned_abs_2d", "max_pos_embeddings": 50}
    config["text_config"].update(num_beams=3, no_repeat_ngram_size=3, early_stopping=True)


def _legacy_config(path: Path) -> None:
    def change(config: Json) -> None:
        config["torch_dtype"] = config.pop("dtype", "float32")
        config["transformers_version"] = "4.30.2"
        config.setdefault("architectures", [])

    change_json(path, change)


def _legacy_preprocessor(path: Path, kind: str) -> None:
    name = {"clipseg": "ViTFeatureExtractor", "segformer": "SegformerFeatureExtractor"}[kind]

    def change(settings: Json) -> None:
        side = settings["size"]["height"]
        for key in ("image_processor_type", "do_rescale", "rescale_factor", "data_format"):
            settings.pop(key, None)
        settings.update(feature_extractor_type=name, size=side, resample=2)

    change_json(path, change)


def _split_tokenizer(folder: Path) -> None:
    """Write vocab.json and merges.txt in place of tokenizer.json."""
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.unlink()


def _store_in_shards(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Store weights as bfloat16 in two files with an index."""
    (folder / _WEIGHTS).unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save(
            folder / file,
            {
                n: tensors[n].bfloat16() if tensors[n].is_floating_point() else tensors[n]
                for n in part
            },
        )
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{_WEIGHTS}.index.json").write_text(json.dumps(index))


def types_of(folder: Path) -> set[str]:
    """Return the types of all stored tensors below `folder`."""
    types = set()
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            types |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return types


def write_omdet_turbo_of_timm(folder: Path, *, legacy: bool) -> None:
    """Write OmDet-Turbo with an image encoder of timm, in the published layout where `legacy`; timm is importable."""
    settings = small_omdet_turbo_config().to_dict()
    arguments = {"always_partition": True, "img_size": 64, "out_indices": [1, 2, 3]}
    name = "swin_tiny_patch4_window7_224"
    settings["backbone_config"] = {"model_type": "timm_backbone", "backbone": name, **arguments}
    settings["apply_layernorm_after_vision_backbone"] = True
    write_omdet_turbo(folder, OmDetTurboConfig(**settings), 64, ["red", "mug", "car", "detect"])
    if legacy:
        named = {
            "backbone": name,
            "backbone_config": None,
            "backbone_kwargs": arguments,
            "use_pretrained_backbone": False,
            "use_timm_backbone": True,
        }
        change_json(folder / "config.json", lambda config: config.update(named))
