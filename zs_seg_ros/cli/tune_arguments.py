# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `zs-seg tune`."""

from __future__ import annotations

from pathlib import Path

from zs_seg_ros.cli import commands
from zs_seg_ros.cli.evaluate_arguments import add_truth_options
from zs_seg_ros.cli.shared_options import Subparsers, add_command, add_model_options

_TUNE_HELP = """\
Choose the threshold and the best prompts of each class on some tens of labelled frames, and write them as a
vocabulary file for the node and for --vocabulary. TRUTH is as in `zs-seg evaluate`.

Of a class with several prompts, "mug=red mug|red cup|cup", each is tried alone and all together. The table has the IoU
of each class now, and what to expect: each frame is judged by a choice that was made without it and its neighbours. A
class stays unchanged where its frames do not suffice, or where the gain does not hold in frames left out.

Each image is encoded once for all of these. After an interruption the same command continues with the image that it was
at; the counts so far are kept in OUT.yaml.partial.

Exit code: 0 when the file is written, 2 otherwise.
"""


def add_tune(subparsers: Subparsers) -> None:
    """Add the command to the parser of `zs-seg`."""
    tune = add_command(
        subparsers,
        "tune",
        commands.tune,
        "choose thresholds and prompts on labelled frames",
        _TUNE_HELP,
    )
    add_truth_options(tune)
    add_model_options(tune.add_argument)
    tune.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.yaml", help="the vocabulary file"
    )
