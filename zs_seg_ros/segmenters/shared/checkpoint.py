# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Finding the files of a model. Nothing here uses the network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zs_seg_ros.errors import FileError, ModelError, ModelNotFoundError
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.shown import described, quoted, shown

BUILT_IN_MODELS = ("tabletop",)
_JSON_BYTES = 16 << 20
_MOST_LAYERS = 1000
_FOLDERS_DEEP = 2
_COUNTS = ("layers", "depths", "blocks", "stages", "levels")
"""Parts of the keys of numbers in configurations for each of which a part of the network is made."""
FILES = ["*.json", "*.txt", "*.safetensors", "*.model"]
"""Patterns of the files that a checkpoint is loaded from; never pickled weights."""


def find_checkpoint(model: str, revision: str = "") -> Path:
    """Find the folder of a built-in name, a local folder or a Hugging Face id whose files are on disk already.

    Raises ModelNotFoundError, which names the command that fetches the model, and ModelError when its files may not
    be read.
    """
    folder = _find(model, revision)
    for file in _files(folder, _FOLDERS_DEEP):
        if not file.exists() and file.is_symlink():
            raise ModelError(
                f"{shown(str(file), 300)} is a symbolic link to a file that does not exist; "
                "fetch or copy the model again"
            )
        if not os.access(file, os.R_OK | os.X_OK if file.is_dir() else os.R_OK):
            raise _forbidden(file)
        if not (
            file.is_file() or file.is_dir()
        ):  # opening a FIFO waits for ever, and a device has no end
            raise ModelError(
                f"{shown(str(file), 300)} is neither a file nor a folder and is not opened; "
                "fetch or copy the model again"
            )
        if file.name.endswith(".index.json"):
            _check_index(model, file)
    return folder


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Yield what lies in a folder and in its subfolders, which transformers reads, too, such as chat templates."""
    for entry in folder.iterdir():
        yield entry
        if depth and entry.is_dir() and not entry.name.startswith("."):
            yield from _files(entry, depth - 1)


def _check_index(model: str, path: Path) -> None:
    """Raise ModelError unless the index of split weights names files of its own folder, as transformers opens any."""
    weights = _read_mapping(model, path, "an index of weights").get("weight_map")
    names = weights.values() if isinstance(weights, dict) else [None]
    for name in names:
        if not (isinstance(name, str) and name == Path(name).name and name not in ("", "..")):
            raise ModelError(
                f"the checkpoint of {shown(model, 300)} is damaged: {shown(path, 300)} names the weights "
                f"{quoted(name, 100)}, which is no file of that folder; fetch it again"
            )


def _forbidden(path: Path) -> ModelError:
    return ModelError(
        f"{path} may not be read by the user who runs this; give that user permission (chmod, chown)"
    )


def _find(model: str, revision: str) -> Path:
    if model in BUILT_IN_MODELS:
        return _built_in_folder(model)
    folder = Path(os.path.expanduser(model))
    # Unlike pathlib's, os.path's functions never raise, whatever the name.
    if model and os.path.isdir(folder):
        if not os.access(folder, os.R_OK | os.X_OK):
            raise _forbidden(folder)
        if (folder / "config.json").is_file():
            return folder
        raise ModelNotFoundError(f"the folder {folder} holds no model: it has no config.json")
    if not is_hub_id(model):
        names = ", ".join(BUILT_IN_MODELS)
        raise ModelNotFoundError(
            f"there is no model {quoted(model, 300)}: give a built-in name ({names}), a folder that exists, or a "
            "Hugging Face id such as CIDAS/clipseg-rd64-refined"
        )
    return _cached_snapshot(model, revision)


def _built_in_folder(model: str) -> Path:
    package = Path(__file__).resolve().parents[2]
    installed, source = package / "builtin_models" / model, package.parent / "models" / model
    for folder in (installed, source):
        if (folder / "config.json").is_file():
            return folder
    raise ModelNotFoundError(
        f"the built-in model {model} is missing from the installation ({installed}); install again"
    )


def is_hub_id(model: str) -> bool:
    """Return whether a name can be that of a repository of the Hugging Face hub: OWNER/NAME."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(model)
    except HFValidationError:
        return False
    return model.count("/") == 1


def _cached_snapshot(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                model, revision=revision or None, allow_patterns=FILES, local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, ValueError):
        folder = Path()
    if not (folder / "config.json").is_file():
        raise _not_fetched(model, revision)
    return folder


def _not_fetched(model: str, revision: str) -> ModelNotFoundError:
    """Say where a model was looked for, what is there, and how to fetch it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model, repo_type="model")
    refs = folder / "refs"
    there = sorted(str(path.relative_to(refs)) for path in refs.rglob("*") if path.is_file())
    if there:
        state = f"is there as {shown(', '.join(there), 200)} only, or not completely"
    else:
        state = (
            "is not there; another user, or one with another HF_HOME, may have fetched it elsewhere"
        )
    requested = f" --revision {revision}" if revision else ""
    return ModelNotFoundError(
        f"the model {model} is not on this disk and nothing is downloaded at run time: {folder} was searched for the "
        f"revision {revision or 'main'}, which {state}; fetch it once, as the user who runs this, with: "
        f"zs-seg fetch {model}{requested}"
    )


def model_type(model: str, folder: Path) -> str:
    """Read the `model_type` of a checkpoint's config.json. Raises ModelError when that cannot be read."""
    kind = read_config(model, folder).get("model_type")
    if not isinstance(kind, str):
        raise ModelError(
            f"the checkpoint of {shown(model, 300)} is damaged: {shown(folder, 300)}/config.json cannot be read as a "
            "model configuration, since it has no text as model_type; fetch it again"
        )
    return kind


def read_config(model: str, folder: Path) -> dict[str, Any]:
    """Read a checkpoint's config.json, of at most 16 MiB.

    Raises ModelError when it cannot be read, is no mapping, or has more layers than any model.
    """
    path = folder / "config.json"
    config = _read_mapping(model, path, "a model configuration")
    try:
        counts = list(_counts(config))
    except (
        RecursionError
    ) as error:  # Python 3.12 and later read deeper nested JSON than they recurse
        raise ModelError(
            f"the checkpoint of {shown(model, 300)} is damaged: {shown(path, 300)} is nested too deep; fetch it again"
        ) from error
    for key, value in counts:
        # Each layer is made in Python, for ten million of them during hours.
        if not 0 <= value <= _MOST_LAYERS:
            raise ModelError(
                f"the checkpoint of {shown(model, 300)} is damaged: in {shown(path, 300)} it has "
                f"{shown(value, 40)} as {shown(key, 80)}, and at most {_MOST_LAYERS} are built; fetch it again"
            )
    return config


def _counts(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield the numbers of layers and blocks in a configuration, with their keys."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _counts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _counts(inner, key)
    elif isinstance(value, int) and any(word in key for word in _COUNTS):
        yield key, value


def _read_mapping(model: str, path: Path, kind: str) -> dict[str, Any]:
    try:
        content = json.loads(read_regular_file(path, _JSON_BYTES))
        if not isinstance(content, dict):
            raise TypeError(f"it holds {shown(content)}, not a mapping")
    # RecursionError: brackets within brackets
    except (OSError, ValueError, TypeError, RecursionError, FileError) as error:
        raise ModelError(
            f"the checkpoint of {shown(model, 300)} is damaged: {shown(path, 300)} cannot be read as {kind} "
            f"({described(error)}); fetch it again"
        ) from error
    return content
