# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `zs-seg evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from zs_seg_ros.cli import commands
from zs_seg_ros.cli.argument_types import count, whole
from zs_seg_ros.cli.shared_options import (
    Subparsers,
    add_command,
    add_model_options,
    add_vocabulary_options,
)

_EVALUATE_HELP = """\
Compare a model and a vocabulary with ground truth, which is one of

  FILE.yaml    images beside images of class ids or colours, as in Cityscapes, ADE20K, CamVid and Pascal VOC; the file
               says where they are and what the ids mean
  FILE.json    a COCO file, of instances or stuff; --images names the folder of its images
  FILE.golden  a golden file of replay_test; --images names its recording
  RECORDING    one with a topic X/label of label images, such as zs-seg label writes

Without --classes and --vocabulary the classes and prompts are those of the ground truth. With them, classes are
compared by their names, and pixels of other classes count as none of them.

The table has the IoU, precision, recall and boundary IoU of each class and, where the ground truth separates objects,
AP as COCO defines it and panoptic quality; below it what the scores say about the vocabulary.

With --vocabulary-check no ground truth is needed: TRUTH is an image, a folder of images or a recording, and the table
says which classes label the same pixels, are contained in each other, are in no image, or label everything.

Exit code: 0 when all was compared, 2 when that was not possible.
"""


def add_evaluate(subparsers: Subparsers) -> None:
    """Add the command to the parser of `zs-seg`."""
    evaluate = add_command(
        subparsers,
        "evaluate",
        commands.evaluate,
        "compare a model and a vocabulary with ground truth",
        _EVALUATE_HELP,
    )
    add = evaluate.add_argument
    add_truth_options(evaluate)
    add_model_options(add)
    add(
        "--vocabulary-check",
        action="store_true",
        help="check the classes on images without labels; --against, --page and --worst have no effect",
    )
    add(
        "--against",
        action="append",
        default=[],
        metavar="MODEL",
        help="another model on the same images, a SegFormer for example; may be repeated",
    )
    add(
        "--limit",
        type=count,
        default=0,
        metavar="N",
        help="use at most N images, evenly spread (default: all; 20 with --vocabulary-check)",
    )
    add("--json", type=Path, metavar="FILE", help="write the scores as JSON (default: none)")
    add("--page", type=Path, metavar="FILE.html", help="write a page, worst images first")
    add(
        "--worst",
        type=whole,
        default=12,
        metavar="N",
        help="images of each model on the page (default: 12)",
    )


def add_truth_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name ground truth and the classes to compare with it."""
    add = parser.add_argument
    add(
        "truth",
        type=Path,
        metavar="TRUTH",
        help="FILE.yaml, FILE.json, FILE.golden or RECORDING, see above",
    )
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="of a COCO file; the recording of a golden file (default: the folder of TRUTH)",
    )
    add("--camera", default="", metavar="CAM", help="of a recording (default: the only one)")
    add("--label-topic", default="", metavar="TOPIC", help="of a recording (default: the only one)")
    add_vocabulary_options(parser, "the classes of the ground truth")
