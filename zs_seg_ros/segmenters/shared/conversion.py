# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Conversion of a checkpoint's pickled weights to safetensors, by torch's reader that runs no code of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from zs_seg_ros.errors import ModelError
from zs_seg_ros.files import write_output
from zs_seg_ros.shown import described, shown


def convert_weights(folder: Path) -> list[Path]:
    """Convert pytorch_model.bin, or its parts, to safetensors beside them; return the new files.

    Only tensors are read (`weights_only`): a file that holds anything else is refused. Raises ModelError when there are
    no such files, safetensors are there already, or a file is damaged, FileError when one cannot be written.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"the folder {folder} holds no model: it has no config.json")
    if any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has weights as safetensors already; there is nothing to convert"
        )
    sources = sorted(folder.glob("pytorch_model*.bin"))
    if not sources:
        raise ModelError(f"{folder} has no pytorch_model.bin, nor parts of one, to convert")
    weight_map: dict[str, str] = {}
    paths = []
    for source in sources:
        target = folder / (source.stem.replace("pytorch_model", "model", 1) + ".safetensors")
        tensors = _read(source)
        write_output(target, save(tensors, metadata={"format": "pt"}))
        weight_map.update(dict.fromkeys(tensors, target.name))
        paths.append(target)
    if len(paths) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        text = json.dumps(index, indent=2, sort_keys=True)
        write_output(folder / "model.safetensors.index.json", text.encode())
    return paths


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f"{path} is not a file; download the model again")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # the reader raises many types; each means damage, or more than tensors
        raise ModelError(
            f"{path} holds something else than weights, or is damaged, and is not converted ({described(error)})"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in content.items()
    ):
        raise ModelError(
            f"{path} holds {shown(content, 100)}, not a table of named weights, and is not converted"
        )
    # Tensors that share memory are refused by safetensors; a copy of each is stored.
    return {name: tensor.contiguous().clone() for name, tensor in content.items()}
