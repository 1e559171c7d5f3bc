"""Conversion of a checkpoint's pickled weights to safetensors, by torch's reader that runs no code of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from zs_seg_ros.errors import ModelError
from zs_seg_ros.shown import described, shown


def convert_weights(folder: Path) -> list[Path]:
    """Convert pytorch_model.bin, or its parts, to safetensors beside them; return the new files.

    Only tensors are read (`weights_only`): a file that holds anything else is refused. Raises ModelError when there are
    no such files, safetensors are there already, or a file is damaged.
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
        _write(tensors, target)
        weight_map.update(dict.fromkeys(tensors, target.name))
        paths.append(target)
    if len(paths) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
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


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights under another name first, so that a file of the final name is whole."""
    temporary = path.with_name(f"{path.name}.incomplete")
    try:
        save_file(tensors, temporary, metadata={"format": "pt"})
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written ({described(error)})") from error
