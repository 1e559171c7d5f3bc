# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `zs-seg find`."""

from __future__ import annotations

from pathlib import Path

from zs_seg_ros.cli import commands
from zs_seg_ros.cli.shared_options import Subparsers, add_command

_FIND_HELP = """\
List when and where a labelled recording shows an object: a recording that zs-seg label has written, or one of
~/CAM/objects. Objects count in whose class name all words occur. A line has the times of the first and last image, UTC,
the camera, class and track, and score and position in the image in which the score is highest. The position is in the
frame of that image's header.

Exit code: 0 when there is such a class, 2 otherwise.
"""


def add_find(subparsers: Subparsers) -> None:
    """Add the command to the parser of `zs-seg`."""
    find = add_command(
        subparsers,
        "find",
        commands.find,
        "list when and where a labelled recording shows an object",
        _FIND_HELP,
    )
    find.add_argument("recording", type=Path, metavar="RECORDING", help="the labelled recording")
    find.add_argument("words", metavar="WORDS", help='for example "red mug"')
    find.add_argument(
        "--page", type=Path, metavar="FILE.html", help="write a page of thumbnails (default: none)"
    )
    find.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=TOPIC",
        help="a camera of the thumbnails whose images have another topic than NAME/image_raw; may be repeated",
    )
