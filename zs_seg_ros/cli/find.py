# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg find`: lists when and where a labelled recording shows objects of a class."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.labelling.sightings import Sighting, sightings
from zs_seg_ros.labelling.sightings_page import MOST_THUMBNAILS, write_page


def find(recording: Path, words: str, page: Path | None, cameras: Sequence[str]) -> int:
    """Print a line for each object, write the page if there is to be one, and return the exit code.

    Raises ZeroShotSegmentationError.
    """
    with Bag(recording) as bag:
        kept: dict[Sighting, str] = {}
        total = 0
        for sighting in sightings(bag, words):
            total += 1
            line = line_of(sighting)
            print(line)
            if page is not None and len(kept) < MOST_THUMBNAILS:
                kept[sighting] = line
        if page is not None:
            write_page(page, bag, kept, total, cameras)
        for warning in bag.new_warnings():
            print(f"warning: {warning}", file=sys.stderr)
    return 0


def line_of(sighting: Sighting) -> str:
    """Describe a sighting in one line."""
    where = "no position"
    if sighting.position is not None:
        x, y, z = sighting.position
        where = f"({x:.3f}, {y:.3f}, {z:.3f}) m in {sighting.frame_id}"
    track = f"#{sighting.track_id}" if sighting.track_id else "not tracked"
    return (
        f"{_time(sighting.first_ns)} to {_time(sighting.last_ns)}  {sighting.camera}  {sighting.class_name}  {track}  "
        f"score {sighting.score:.2f}  {where}"
    )


def _time(stamp_ns: int) -> str:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 10**6:03d}Z"
