# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The files of exported parts: their names, where they lie, and the checkpoint that they belong to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zs_seg_ros.errors import FileError, ModelError
from zs_seg_ros.files import open_regular_file, user_path
from zs_seg_ros.shown import shown

PRODUCER = "zs_seg_ros"
CHECKPOINT_KEY, PRECISION_KEY = "zs_seg_ros.checkpoint", "zs_seg_ros.precision"
"""Keys of the metadata of an ONNX file: the fingerprint of the checkpoint, and fp32 or int8."""
BITS_KEY = "zs_seg_ros.bits"
"""Key of the metadata of an int8 file: the bits of its weights, 7 or 8; earlier versions wrote 7 and no key."""
MOST_BYTES = (1 << 31) - 1
"""The largest ONNX file with the weights inside."""
_FOLDER = "zs_seg_onnx"
_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 64


def export_folder(folder: Path, requested: str | Path | None) -> Path:
    """Return the folder of the exported parts of the checkpoint in `folder`: the requested one, or one beside it."""
    return user_path(requested) if requested else folder / _FOLDER


def make_folder(folder: Path) -> None:
    """Make the folder of exports, with those that it lies in. Raises FileError when that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"the folder {shown(folder, 300)} cannot be made: {shown(error.strerror, 100)}; name another with -o"
        ) from error


def export_path(folder: Path, part: str, precision: str) -> Path:
    """Return the path of an exported part. precision: fp32 or int8."""
    return folder / (f"{part}.onnx" if precision == "fp32" else f"{part}.{precision}.onnx")


def fingerprint(model: str, folder: Path) -> str:
    """Compute the fingerprint of a checkpoint's configuration and weights: SHA-256, hexadecimal.

    Raises ModelError when a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        try:
            with open_regular_file(path) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
        except (OSError, FileError) as error:
            raise ModelError(
                f"the checkpoint of {shown(model, 300)} cannot be read ({shown(error, 300)}); fetch it again"
            ) from error
    return digest.hexdigest()


def is_export(path: Path) -> bool:
    """Return whether this package wrote an ONNX file: the name of the producer stands near the beginning."""
    try:
        with open_regular_file(path) as stream:
            return PRODUCER.encode() in stream.read(_HEAD_BYTES)
    except (OSError, FileError):
        return False
