# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The commands and options of `zs-seg`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zs_seg_ros import __version__
from zs_seg_ros.cli import commands
from zs_seg_ros.cli.argument_types import (
    count,
    share,
    size,
    whole,
)
from zs_seg_ros.cli.evaluate_arguments import add_evaluate
from zs_seg_ros.cli.export_arguments import add_export
from zs_seg_ros.cli.find_arguments import add_find
from zs_seg_ros.cli.segment_arguments import add_segment
from zs_seg_ros.cli.shared_options import (
    Subparsers,
    add_command,
    add_loading_options,
    add_model_options,
    add_vocabulary_options,
)
from zs_seg_ros.cli.studio_command import add_studio
from zs_seg_ros.cli.tune_arguments import add_tune
from zs_seg_ros.segmenters.load_options import DEFAULT_MODEL

_LABEL_HELP = """\
Label recordings without a running node. OUT is a copy of the recording with these topics added, equal to those that
the node publishes for the same images; with several recordings it is a folder with one such copy each:

  /zs_seg/CAM/label  /zs_seg/CAM/confidence  /zs_seg/CAM/objects  /zs_seg/vocabulary

With --format coco it is a folder with images, label images as PNG, and annotations.json in COCO's format.

Put the recordings and OUT before --classes. Finished parts are kept in OUT.partial until everything is finished: after
an interruption of any kind the same command continues where it stopped. With Ray, recordings and OUT must have the same
path on every worker.

Exit code: 0 when everything is written, 2 when that was not possible, 130 when interrupted.
"""
_FETCH_HELP = (
    "Download a model from the Hugging Face Hub, once, and print its folder. "
    "Nothing else uses the network. Its list of files is checked first."
)

_CONVERT_HELP = (
    "Convert pytorch_model.bin in FOLDER, or its parts, to safetensors beside it. Only tensors are "
    "read; a file that holds anything else is refused."
)

_DOCTOR_HELP = """\
Check this machine before the node runs on it: versions, GPU, ROS 2, the profile of DDS and the buffers of sockets, QoS
and types of all topics on the graph, the model on the disk, and free space. Each line is OK, WARNING or ERROR, with a
remedy. Where no ROS 2 is sourced, DDS and the graph are left out.

--json prints a list of objects with name, status, text and remedy.

Exit code: 0 without errors, 1 when a check is an ERROR.
"""

_BENCH_HELP = """\
Measure the time and memory of a frame with a model, for several numbers of classes, and compare with the pipeline of
transformers for that model: the two alternate in one run, and medians are compared.

Several input sizes, --input-size 224,352,512, precisions, --precision fp32,bf16, or engines, --engine
torch,onnxruntime, are compared with each other instead. With --random the model is exported for the engine first.

prepare: image to tensors. encode: the image encoder. decode: text embeddings or boxes to logits. finish: post-process
to a label image and masks. memory: at the peak, above what was in use before.
"""


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command, whose usage goes with the error of an argument that it lacks."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does. Raises SystemExit where an argument is left over."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return parsed, left


def zs_seg_parser() -> argparse.ArgumentParser:
    """Return the parser; its `run` is the function of `commands` to call with the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="zs-seg", description="Zero-shot segmentation: segment images by class names."
    )
    parser.add_argument("--version", action="version", version=f"zs-seg {__version__}")
    kind: type[argparse.ArgumentParser] = _CommandParser
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=kind)
    add_segment(subparsers)
    _add_label(subparsers)
    add_find(subparsers)
    add_evaluate(subparsers)
    add_tune(subparsers)
    add_studio(subparsers)
    _add_bench(subparsers)
    add_export(subparsers)
    _add_fetch(subparsers)
    _add_convert(subparsers)
    _add_doctor(subparsers)
    return parser


def _add_label(subparsers: Subparsers) -> None:
    label = add_command(subparsers, "label", commands.label, "label recordings", _LABEL_HELP)
    add = label.add_argument
    add(
        "bags",
        nargs="+",
        type=Path,
        metavar="BAG",
        help="a recording: the folder that `ros2 bag record` has written",
    )
    add("out", type=Path, metavar="OUT", help="the result; it must not exist yet")
    add_vocabulary_options(label)
    add("--format", choices=("mcap", "sqlite3", "coco"), default="mcap", help="(default: mcap)")
    add(
        "--cameras",
        nargs="+",
        default=[],
        metavar="CAM",
        help="cameras with a topic CAM/image_raw or CAM/image_raw/compressed (default: all)",
    )
    add(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=TOPIC[,DEPTH,INFO]",
        help="a camera with other topics; may be repeated",
    )
    add(
        "--depth",
        action="store_true",
        help="add positions, from CAM/depth/image_raw, registered to the images, and CAM/camera_info",
    )
    add_model_options(add)
    add("--min-area", type=whole, default=50, metavar="PIXELS", help="of an object (default: 50)")
    add("--max-objects", type=count, default=100, metavar="N", help="in an image (default: 100)")
    add("--no-track", action="store_true", help="do not track: objects get no track ids")
    add("--batch", type=count, default=4, metavar="N", help="images in a batch (default: 4)")
    add(
        "--slice",
        type=count,
        default=300,
        metavar="N",
        help="approximate frames of a part: lost at most by an interruption, and one Ray task (default: 300)",
    )
    add("--ray", action="store_true", help="run on a Ray cluster, started here for this run")
    add(
        "--ray-address",
        default="",
        metavar="ADDRESS",
        help="run on this Ray cluster: auto (the one on this machine) or HOST:PORT",
    )


def _add_bench(subparsers: Subparsers) -> None:
    bench = add_command(subparsers, "bench", commands.bench, "measure a model", _BENCH_HELP)
    add = bench.add_argument
    add(
        "model", metavar="MODEL", help="a built-in name, a folder or a Hugging Face id on this disk"
    )
    add(
        "--random",
        action="store_true",
        help="MODEL is a kind: its published shape with random weights",
    )
    add(
        "--classes",
        nargs="+",
        type=count,
        metavar="N",
        help="numbers of classes (default: 1 2 4 8 16 32; 8 where several are compared)",
    )
    add("--size", type=size, default=(640, 480), help="of the image (default: 640x480)")
    add("--repeats", type=count, default=3, help="measurements of each (default: 3)")
    add("--threshold", type=share, default=0.5, help="0 to 1 (default: 0.5)")
    add("--no-reference", action="store_true", help="measure this package alone")
    add_loading_options(add, several=True)
    add("--compile", action="store_true", help="compile the model with torch.compile")
    add("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    add("--plot", type=Path, metavar="PNG", help="plot the figures (needs matplotlib)")


def _add_fetch(subparsers: Subparsers) -> None:
    fetch = subparsers.add_parser("fetch", help="download a model", description=_FETCH_HELP)
    fetch.set_defaults(run=commands.fetch)
    fetch.add_argument(
        "model",
        metavar="MODEL",
        help="for example CIDAS/clipseg-rd64-refined, or two with a + between them",
    )
    fetch.add_argument("--revision", default="", help="branch, tag or commit (default: the newest)")


def _add_convert(subparsers: Subparsers) -> None:
    convert = subparsers.add_parser(
        "convert", help="convert pickled weights to safetensors", description=_CONVERT_HELP
    )
    convert.set_defaults(run=commands.convert)
    convert.add_argument(
        "folder", metavar="FOLDER", type=Path, help="a model's, with config.json and weights"
    )


def _add_doctor(subparsers: Subparsers) -> None:
    doctor = add_command(subparsers, "doctor", commands.doctor, "check this machine", _DOCTOR_HELP)
    doctor.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"the node's model: a built-in name, a folder, a Hugging Face id, or a pair (default: {DEFAULT_MODEL})",
    )
    doctor.add_argument("--revision", default="", help="of the model (default: the newest on disk)")
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")
