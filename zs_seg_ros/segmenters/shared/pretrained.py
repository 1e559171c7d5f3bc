# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Loading of a transformers checkpoint from a folder: safetensors only, no network, and complete or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import logging

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.shared.preprocessing import (
    Resample,
    UnsupportedPreprocessingError,
    fixed_size,
    normalisation,
    padded_square,
    require_whole_images,
    resampling,
)
from zs_seg_ros.segmenters.shared.published_config import local_config
from zs_seg_ros.shown import shown

Model = TypeVar("Model", bound=PreTrainedModel)
Tokenizer = TypeVar("Tokenizer", bound=PreTrainedTokenizerBase)

_TIED = {
    "prompt_encoder.shared_embedding.positional_embedding": "shared_image_embedding.positional_embedding"
}
"""Weights of SAM 2 and EdgeTAM that transformers 4 left out of a checkpoint, and the equal ones that it stored."""


@dataclass(frozen=True)
class ImageFormat:
    """The input format of a model.

    size: (height, width). mean and std: mean and standard deviation of R, G, B in 0..1. resample: how images are
    resized.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: Resample = "bilinear"

    def check_square(self, side: int, model: str) -> None:
        """Raise ModelError unless the size is that of the square which the model's network takes."""
        if self.size != (side, side):
            height, width = self.size
            raise ModelError(
                f"the preprocessor of {model} makes images of {width}x{height} and the model takes "
                f"{side}x{side}; fetch the checkpoint again"
            )


def load_model(kind: type[Model], model: str, folder: Path, dtype: torch.dtype) -> Model:
    """Load the model of a checkpoint, ready for inference, on the CPU.

    Raises ModelError when the folder has no safetensors, a file is damaged or weights are missing, which
    transformers would initialise at random.
    """
    try:
        with quiet():
            loaded, report = kind.from_pretrained(
                folder,
                config=local_config(kind, model, folder),
                local_files_only=True,
                use_safetensors=True,
                dtype=dtype,
                output_loading_info=True,
            )
    except ModelError:
        raise
    except Exception as error:  # transformers and safetensors raise many types; each means damage
        raise _damaged(model, folder, error) from error
    missing = sorted(_tie(loaded, set(report["missing_keys"])))
    if missing:
        raise ModelError(
            f"the checkpoint of {model} in {folder} is not a whole {kind.__name__}: {len(missing)} weights are "
            f"missing, {missing[0]} among them; fetch it again, or give a model of that kind"
        )
    check_weights(loaded, model, folder)
    whole: Model = loaded.eval().requires_grad_(False)
    return whole


def _tie(network: torch.nn.Module, missing: set[str]) -> set[str]:
    """Copy weights that earlier releases stored once for two places, and return the names of those still missing."""
    left = set(missing)
    for name, source in _TIED.items():
        if name in missing and source not in missing:
            with torch.no_grad():
                _tensor(network, name).copy_(_tensor(network, source))
            left.remove(name)
    return left


def _tensor(network: torch.nn.Module, name: str) -> torch.Tensor:
    module, _, attribute = name.rpartition(".")
    tensor: torch.Tensor = getattr(network.get_submodule(module), attribute)
    return tensor


def check_weights(network: torch.nn.Module, model: str, folder: Path) -> None:
    """Raise ModelError for weights that are not finite, or of a type that is no floating point."""
    for name, weight in network.named_parameters():
        if not weight.is_floating_point():
            reason = f"{name} has the type {weight.dtype}, not floating point"
        elif not torch.isfinite(weight.sum(dtype=torch.float32)):
            reason = f"{name} holds numbers that are not finite or far too large"
        else:
            continue
        raise ModelError(
            f"the weights of {model} in {folder} are damaged: {reason}; fetch it again, or give another model"
        )


def weight_names(folder: Path) -> list[str]:
    """Return the names of all weights of a checkpoint; none where its files cannot be read."""
    try:
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            return list(json.loads(index.read_text()).get("weight_map", {}))
        with safe_open(folder / "model.safetensors", framework="pt") as weights:
            return list(weights.keys())
    except (OSError, ValueError, AttributeError, SafetensorError):
        return []  # `load_model` says what is wrong with them


def load_tokenizer(kind: type[Tokenizer], model: str, folder: Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint. Raises ModelError when it is missing or damaged."""
    fast, slow = folder / "tokenizer.json", folder / "vocab.json"
    if not (fast.is_file() or slow.is_file()):  # transformers would make an empty one
        raise ModelError(
            f"the checkpoint of {model} has no tokenizer: neither {fast} nor {slow} is there; fetch it again"
        )
    try:
        with quiet():
            tokenizer: Tokenizer = kind.from_pretrained(folder, local_files_only=True)
            return tokenizer
    except Exception as error:  # the tokenizers library raises plain Exception
        raise _damaged(model, folder, error) from error


def has_preprocessing(folder: Path) -> bool:
    """Return whether a checkpoint has a file about the preprocessing of images."""
    names = ("preprocessor_config.json", "processor_config.json")
    return any((folder / name).is_file() for name in names)


def load_image_format(
    kind: type[BaseImageProcessor], model: str, folder: Path, default: ImageFormat
) -> ImageFormat:
    """Read preprocessor_config.json or processor_config.json; return `default` where neither is there.

    Raises ModelError when the file is damaged, or asks for something that is not supported.
    """
    if not has_preprocessing(folder):
        return default
    with reading_preprocessing(model, folder):
        processor = kind.from_pretrained(folder, local_files_only=True)
        require_whole_images(processor)
        # SAM's preprocessing: a smaller image is padded to a square of this side.
        size_of = padded_square if "longest_edge" in kind.size else fixed_size
        size, resample = size_of(processor), resampling(processor)
        return ImageFormat(size, *normalisation(processor), resample)


@contextmanager
def reading_preprocessing(model: str, folder: Path) -> Iterator[None]:
    """Turn what is raised while the block reads a preprocessor file into a ModelError."""
    try:
        yield
    except UnsupportedPreprocessingError as error:
        raise ModelError(
            f"the preprocessor file of {model} in {folder} cannot be followed: {shown(error, 300)}; give a "
            "checkpoint whose file does not set it"
        ) from error
    except Exception as error:  # as above, many types, each of which means damage
        raise _damaged(model, folder, error) from error


def _damaged(model: str, folder: Path, error: Exception) -> ModelError:
    first_line = shown((str(error).splitlines() or [""])[0].rstrip("."), 300)
    return ModelError(
        f"the checkpoint of {model} in {folder} cannot be loaded ({type(error).__name__}: {first_line}); "
        "fetch it again"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and reports of transformers: errors are raised instead."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
