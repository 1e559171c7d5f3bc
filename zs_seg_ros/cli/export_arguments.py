# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `zs-seg export`."""

from __future__ import annotations

from pathlib import Path

from zs_seg_ros.cli import commands
from zs_seg_ros.cli.argument_types import input_size, share
from zs_seg_ros.cli.shared_options import Subparsers, add_command, add_vocabulary_options

_EXPORT_HELP = """\
Write the image encoder and the decoder of a model as ONNX files, for --engine onnxruntime and the node's parameter
engine. Each is compared with torch first: an output that differs by more than 1e-4 of the largest value is not written.

With --int8 parts of matrix products are written in 8 bits, too, which --precision int8 and auto take. With --images and
--classes, or --vocabulary, the labels of both precisions are compared on these images: the mean IoU of int8 against
fp32. What it costs against ground truth, `zs-seg evaluate --precision int8` says.

With --calibrate files for OpenVINO are written, too (--providers openvino): 8 bits with ranges that NNCF calibrates on
at most 32 of the images.

The files belong to these weights and this input size; others are refused when they are loaded. Of a pair the models
that can be exported are.

Exit code: 0 when all was written, 2 when that was not possible.
"""


def add_export(subparsers: Subparsers) -> None:
    """Add the command to the parser of `zs-seg`."""
    export = add_command(
        subparsers, "export", commands.export, "write a model as ONNX files", _EXPORT_HELP
    )
    add = export.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a built-in name, a folder, a Hugging Face id on this disk, or two with a + between them",
    )
    add(
        "-o",
        "--output",
        default="",
        metavar="FOLDER",
        help="write there, and name it with --export-folder (default: zs_seg_onnx beside the weights)",
    )
    add("--int8", action="store_true", help="write the parts of matrix products in 8 bits, too")
    add(
        "--calibrate",
        action="store_true",
        help="with --int8: write 8 bits for OpenVINO, too, calibrated on --images",
    )
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images, or one image, on which int8 is compared with fp32 (default: none)",
    )
    add_vocabulary_options(export, "none; --images needs some")
    add(
        "--threshold",
        type=share,
        default=0.5,
        help="least confidence of a labelled pixel of --images, 0 to 1 (default: 0.5)",
    )
    add("--revision", default="", help="of a Hugging Face id (default: the newest on disk)")
    add(
        "--input-size",
        type=input_size,
        default=(0, 0),
        metavar="N",
        help="short side in pixels of the images, for a pair N or N+N; 0: the checkpoint's own (default: 0)",
    )
