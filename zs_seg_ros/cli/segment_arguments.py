# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `zs-seg segment`."""

from __future__ import annotations

from pathlib import Path

from zs_seg_ros.cli import commands
from zs_seg_ros.cli.argument_types import count, target_class
from zs_seg_ros.cli.example_files import example_files
from zs_seg_ros.cli.marks import marked_box, marked_point
from zs_seg_ros.cli.shared_options import Subparsers, add_command, add_model_options
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS

_HELP = """\
Segment images by class names, example images, points or boxes, and print a table: id, name, area, mean confidence.

A class is a name, "red mug", or a name with the prompts that describe it, "mug=red mug|red cup". A prompt after a - is
a negative, which wins against the class: "cone=orange cone|-orange jacket".
Put the images before --classes. With several images, or a folder, --output and --label name
folders, and the files written there keep the images' stems.

--example shows a class in an image, all of it or where a mask is not 0, alone or beside the prompts that --classes
gives it. --point and --box mark objects without words, for models that take them: marks of one name, or without one,
mark one object together, and each further box begins another object. Pixels count from the upper left corner, so that
0.5,0.5 is the centre of the first one. --everything segments what a grid of points gives.

--json prints one object for one image, and a list of such objects for several or a folder:
  {"picture": "a.png", "width": 320, "height": 240, "model": "tabletop", "classes":
   [{"id": 1, "name": "duck", "area": 812, "area_percent": 1.06, "confidence": 0.91}]}
area is in pixels; confidence, 0 to 1, is null for a class without pixels. Marked objects are listed under "objects",
with "score", the IoU that the model predicts for the mask, and "box": [left, top, right, bottom]. An image that cannot
be read is left out.

Exit code: 0 when all went well, 1 when some of several images could not be read, 2 when nothing
could be done.
"""


def add_segment(subparsers: Subparsers) -> None:
    segment = add_command(subparsers, "segment", commands.segment, "segment images", _HELP)
    add = segment.add_argument
    add(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="an image, or a folder of images",
    )
    add("--classes", nargs="+", default=[], type=target_class, metavar="CLASS", help="see above")
    add(
        "--example",
        action="append",
        default=[],
        type=example_files,
        metavar="NAME=IMAGE[:MASK]",
        help="an example image of a class; may be repeated",
    )
    add(
        "--point",
        action="append",
        default=[],
        dest="marks",
        type=marked_point,
        metavar="X,Y[,out][=NAME]",
        help="a point on an object or, with out, one beside it; may be repeated",
    )
    add(
        "--box",
        action="append",
        default=[],
        dest="marks",
        type=marked_box,
        metavar="LEFT,TOP,RIGHT,BOTTOM[=NAME]",
        help="a box around an object, its right and lower end exclusive; may be repeated",
    )
    add("--everything", action="store_true", help="segment everything, without words")
    add_model_options(add)
    add("-o", "--output", type=Path, metavar="PNG", help="write the overlay (default: none)")
    add(
        "--label",
        type=Path,
        metavar="PNG",
        help="write the ids as pixels: 0 = nothing, 1 = the first class (8 bits; 16 if needed)",
    )
    add("--json", action="store_true", help="print the table as JSON, and nothing else on stdout")
    add(
        "--max-image-pixels",
        type=count,
        default=MAX_PIXELS,
        metavar="N",
        help=f"width times height of the largest image that is read (default: {MAX_PIXELS})",
    )
