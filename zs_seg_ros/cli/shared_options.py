# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What several commands of `zs-seg` have in common: their form, and options of models and vocabularies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from zs_seg_ros.cli.argument_types import input_size, input_sizes, names, share, target_class

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    subparsers: Subparsers,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    """Add a command, whose description keeps its lines, and return its parser. summary: in the list of commands."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_vocabulary_options(parser: argparse.ArgumentParser, default: str = "") -> None:
    """Add --classes and --vocabulary, of which one is given. default: what holds without; empty: one is required."""
    vocabulary = parser.add_mutually_exclusive_group(required=not default)
    vocabulary.add_argument(
        "--classes",
        nargs="+",
        type=target_class,
        metavar="CLASS",
        help="as in `zs-seg segment`" + (f" (default: {default})" if default else ""),
    )
    vocabulary.add_argument(
        "--vocabulary", metavar="FILE", help="a YAML file of classes, as the node's vocabulary_file"
    )


def add_model_options(add: Callable[..., object]) -> None:
    add(
        "--model",
        default="tabletop",
        help="a built-in name, a folder or a Hugging Face id (default: tabletop, a demonstration)",
    )
    add_loading_options(add)
    add(
        "--threshold",
        type=share,
        default=0.5,
        help="least confidence of a labelled pixel, 0 to 1 (default: 0.5)",
    )


def add_loading_options(add: Callable[..., object], *, several: bool = False) -> None:
    """Add the options of loading. several: whether input sizes and precisions can be lists."""
    add("--revision", default="", help="of a Hugging Face id (default: the newest on disk)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    lists = "; several, with commas, are compared" if several else ""
    add(
        "--precision",
        default="auto",
        help=f"auto, fp32, fp16, bf16, or int8 of an export{lists} (default: auto)",
    )
    engines = ", or both with a comma, which are compared" if several else ""
    add(
        "--engine",
        default="torch",
        help="what computes the network: torch, onnxruntime for a model that zs-seg export has written, or auto, which "
        f"is onnxruntime where it was exported{engines} (default: torch)",
    )
    add(
        "--providers",
        type=names,
        default=(),
        metavar="NAMES",
        help="ONNX Runtime's, in order, with commas: cpu, cuda, tensorrt, openvino (default: cpu)",
    )
    add(
        "--export-folder",
        default="",
        metavar="FOLDER",
        help="of the exported files (default: the one beside the checkpoint)",
    )
    add(
        "--input-size",
        type=input_sizes if several else input_size,
        default=((0, 0),) if several else (0, 0),
        metavar="N",
        help="short side in pixels at which the model segments images, for a pair N or N+N, detector and mask model; "
        f"0: the checkpoint's own{lists} (default: 0)",
    )
