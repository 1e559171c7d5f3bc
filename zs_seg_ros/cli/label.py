"""`zs-seg label`: writes labelled bags or COCO data sets."""

from __future__ import annotations

import signal
import sys

from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.ray_run import RayCluster
from zs_seg_ros.labelling.run import label

_DONE, _INTERRUPTED = 0, 130
_MAX_PROBLEMS_PRINTED = 5


def label_bags(request: LabelRequest, cluster: RayCluster | None) -> int:
    """Label the bags, on a Ray cluster if given, and return the exit code. Raises ZeroShotSegmentationError."""
    # Set explicitly: a shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        problems = label(request, cluster)
    except KeyboardInterrupt:
        print("zs-seg: interrupted; the same command continues where it stopped", file=sys.stderr)
        return _INTERRUPTED
    for problem, times in problems.most_common(_MAX_PROBLEMS_PRINTED):
        print(f"warning: {times} times: {problem}", file=sys.stderr)
    more = len(problems) - _MAX_PROBLEMS_PRINTED
    if more > 0:
        print(f"warning: and {more} other problems", file=sys.stderr)
    print(request.out)
    return _DONE
