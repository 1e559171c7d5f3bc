# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label`: writes labelled bags or COCO data sets."""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext

from zs_seg_ros.cli.interruption import INTERRUPTED, is_ignored, raising_keyboard_interrupt
from zs_seg_ros.errors import NoImagesError
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.ray_run import RayCluster
from zs_seg_ros.labelling.run import label

_DONE, _NO_IMAGES = 0, 1
_MAX_PROBLEMS_PRINTED = 5


def label_bags(request: LabelRequest, cluster: RayCluster | None) -> int:
    """Label the bags, on a Ray cluster if given, and return the exit code. Raises ZeroShotSegmentationError."""
    # A shell starts background jobs with SIGINT ignored; labelling can be interrupted there, too.
    ignored = is_ignored(signal.SIGINT)
    interruptible = (
        raising_keyboard_interrupt("zs-seg", signal.SIGINT) if ignored else nullcontext()
    )
    try:
        with interruptible:
            problems = label(request, cluster)
    except KeyboardInterrupt:
        print("zs-seg: interrupted; the same command continues where it stopped", file=sys.stderr)
        return INTERRUPTED
    except NoImagesError as error:
        print(f"zs-seg: {error}", file=sys.stderr)
        return _NO_IMAGES
    for problem, times in problems.most_common(_MAX_PROBLEMS_PRINTED):
        print(f"warning: {times} times: {problem}", file=sys.stderr)
    more = len(problems) - _MAX_PROBLEMS_PRINTED
    if more > 0:
        print(f"warning: and {more} other problems", file=sys.stderr)
    print(request.out)
    return _DONE
