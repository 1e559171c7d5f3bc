# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The timeline of the HTML report: how much each frame differs, in the order of the recording."""

from __future__ import annotations

import html
import math
import re

from zs_seg_ros.replay.frame_difference import FrameDifference
from zs_seg_ros.replay.report import Report
from zs_seg_ros.shown import shown

_WIDTH, _HEIGHT, _FOOT = 1200, 140, 30
_MOST_BARS = 600
_LEAST_SHARE = 1e-4
"""The smallest share of the scale, which is logarithmic so that single pixels are visible beside whole objects."""
_DECADES = 4


def anchor_of(difference: FrameDifference) -> str:
    """Return the id of the frame's image on the page."""
    return f"frame-{re.sub('[^A-Za-z0-9]', '-', difference.camera)}-{difference.index}"


def timeline(report: Report) -> str:
    """Return the timeline as HTML: a bar for each frame, or for the worst of some neighbouring ones.

    The bars of frames with an image are links to it.
    """
    drawn = {
        (frame.difference.camera, frame.difference.index): anchor_of(frame.difference)
        for frame in report.differing
    }
    frames = report.timeline
    together = -(-len(frames) // _MOST_BARS)
    groups = [frames[start : start + together] for start in range(0, len(frames), together)]
    step = _WIDTH / len(groups)
    bars = [_bar(number * step, step, group, drawn) for number, group in enumerate(groups)]
    bottom = _HEIGHT - _FOOT
    lines = "".join(
        f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/><text x="2" y="{y - 3:.1f}">{share:g} %</text>'
        for share in (1, 10, 100)
        if (y := bottom - _height(share / 100, bottom)) > 0
    )
    each = "a frame" if together == 1 else f"the worst of {together} frames"
    return (
        f'<p class="soft">Each bar is {each}, in the order of the recording: of the labelled pixels, those whose class '
        "differs, on a logarithmic scale. Red: beyond a tolerance. A bar with an image below leads to it.</p>"
        f'<div class="wide"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="Timeline of differences">{lines}{"".join(bars)}'
        f'<text x="0" y="{_HEIGHT - 8}">{html.escape(shown(frames[0].title))}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 8}" text-anchor="end">{html.escape(shown(frames[-1].title))}</text>'
        "</svg></div>"
    )


def _bar(
    left: float,
    step: float,
    group: tuple[FrameDifference, ...],
    drawn: dict[tuple[str, int], str],
) -> str:
    worst = max(group, key=lambda each: (bool(each.reasons), *each.rank))
    bottom = _HEIGHT - _FOOT
    height = _height(worst.share, bottom)
    if worst.reasons:
        height = max(height, 4.0)
    bad = ' class="bad"' if worst.reasons else ""
    title = html.escape(shown(f"{worst.title}: {worst.share:.2%} of the labelled pixels", 300))
    bar = (
        f'<rect{bad} x="{left:.1f}" y="{bottom - height:.1f}" width="{max(1.0, step - 1):.1f}" '
        f'height="{height:.1f}"><title>{title}</title></rect>'
    )
    for each in (worst, *group):
        if anchor := drawn.get((each.camera, each.index)):
            return f'<a href="#{anchor}">{bar}</a>'
    return bar


def _height(share: float, bottom: float) -> float:
    """Return the height of a share: 0 for the smallest one or less, all of it for 1."""
    if share <= _LEAST_SHARE:
        return 1.0 if share else 0.0
    return float((bottom - 12) * (1 + math.log10(share) / _DECADES))
