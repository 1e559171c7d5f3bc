"""`zs-seg label`: recordings in, labelled recordings or COCO data sets out."""

from __future__ import annotations

import signal
import sys

from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.ray_run import RayCluster
from zs_seg_ros.labelling.run import label

_DONE, _INTERRUPTED = 0, 130
_MOST_PROBLEMS_TOLD = 5


def label_recordings(request: LabelRequest, cluster: RayCluster | None) -> int:
    """Do it all and return the exit code. Raises ZeroShotSegmentationError."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell that starts us behind ignores it
    try:
        problems = label(request, cluster)
    except KeyboardInterrupt:
        print("zs-seg: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return _INTERRUPTED
    for problem, times in problems.most_common(_MOST_PROBLEMS_TOLD):
        print(f"warning: {times} times: {problem}", file=sys.stderr)
    if len(problems) > _MOST_PROBLEMS_TOLD:
        print(f"warning: and {len(problems) - _MOST_PROBLEMS_TOLD} other problems", file=sys.stderr)
    print(request.out)
    return _DONE
