# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The report as one self-contained HTML page: no other file, no script, no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from zs_seg_ros.errors import FileError, ReplayError
from zs_seg_ros.files import write_output
from zs_seg_ros.replay.frame_difference import DifferingFrame
from zs_seg_ros.replay.latency import Latencies, latency_summary
from zs_seg_ros.replay.report import Report
from zs_seg_ros.replay.report_images import ADDED_RGB, MISSING_RGB, OTHER_RGB
from zs_seg_ros.replay.report_text import summary
from zs_seg_ros.replay.report_timeline import anchor_of, timeline
from zs_seg_ros.shown import shown

_LONGEST = 4000
"""Characters of one text."""
_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5b6470; --page: #ffffff; --line: #d9dee4;
  --good: #1a7f45; --bad: #c0322b; --bar: #3b78c9; --bad-row: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --soft: #9aa5b1; --page: #14181c; --line: #343c45;
  --good: #4cc07c; --bad: #ff8178; --bar: #6aa4ee; --bad-row: #3a2220; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 2rem auto;
  max-width: 84rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.verdict { border-left: .5rem solid var(--good); padding: .2rem 0 .2rem 1rem; }
.verdict.differs { border-color: var(--bad); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; border-bottom: 1px solid var(--line);
  text-align: right; } th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child, .text { text-align: left; } tr.differs { background: var(--bad-row); }
td { font-variant-numeric: tabular-nums; }
figure { margin: 1.2rem 0 2rem; } figcaption { margin-bottom: .3rem; } figure img { width: 100%; display: block; }
.panels { display: grid; grid-template-columns: repeat(4, 1fr); color: var(--soft); font-size: .9rem; }
figure .close { display: none; }
figure:target { position: fixed; inset: 0; margin: 0; padding: 1rem; overflow: auto; z-index: 1;
  background: var(--page); }
figure:target .close { display: inline; margin-left: 1rem; } figure:target img, figure:target .panels { width: 400%; }
figure:target img { image-rendering: pixelated; }
svg .bad { fill: var(--bad); }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .9em; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; } svg rect { fill: var(--bar); }
svg line { stroke: var(--line); }
"""
_SVG_WIDTH, _SVG_HEIGHT, _SVG_FOOT = 720, 220, 40


def write_html(path: Path, report: Report) -> None:
    """Write the page. Raises ReplayError when the file cannot be written."""
    try:
        write_output(path, html_report(report).encode())
    except FileError as error:
        raise ReplayError(str(error)) from error


def html_report(report: Report) -> str:
    """Return the page as HTML."""
    verdict = report.verdict
    heading = "Same results" if verdict.passed else "Different results"
    parts = [
        f'<header class="verdict{"" if verdict.passed else " differs"}">',
        f"<h1>{heading}</h1><p>{escape(summary(report))}</p>",
        *(f"<p>Note: {escape(change)}.</p>" for change in report.changes),
        "</header>",
        _configuration(report),
        "<h2>Checks</h2>",
        _table(
            ("check", "measured", "allowed", ""),
            (
                (check.passed, (check.name, check.value, check.limit, _word(check.passed)))
                for check in verdict.checks
            ),
            text_columns=3,
        ),
        "<h2>Classes</h2>",
        _table(
            ("class", "IoU", "pixels golden", "pixels now", "matched", "missed", "new", "", ""),
            (
                (
                    c.passed,
                    (
                        c.name,
                        f"{c.iou:.4f}",
                        f"{c.golden:,}",
                        f"{c.now:,}",
                        str(c.matched),
                        str(c.missed),
                        str(c.new),
                        _word(c.passed),
                        c.note,
                    ),
                )
                for c in verdict.classes
            ),
        ),
    ]
    if report.rate is not None:
        parts += ["<h2>Latency</h2>", _histogram(report.latencies)]
    if report.timeline:
        parts += ["<h2>Timeline</h2>", timeline(report)]
    if report.differing:
        parts += [f'<h2 id="frames">The worst frames, the worst first</h2>{_legend()}']
        parts += [_figure(frame) for frame in report.differing]
    title = f"Replay of {escape(report.now.recording)}: {heading.lower()}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _configuration(report: Report) -> str:
    now = report.now
    cameras = ", ".join(
        f"{c.name} ({c.transport}{', with depth' if c.depth_transport else ''})"
        for c in now.cameras
    )
    every = "every frame" if now.every == 1 else f"every {now.every}th frame"
    return (
        f'<p class="soft">Recording {escape(now.recording)}, {every}; model {escape(now.model)}; '
        f"cameras: {escape(cameras)}; golden file {escape(report.golden_file)}.</p>"
    )


def escape(text: str) -> str:
    """Return a text as HTML, without control characters and characters that turn the direction of reading."""
    return html.escape(shown(text, _LONGEST))


def _word(passed: bool) -> str:
    return "ok" if passed else "differs"


def _table(
    heads: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]], text_columns: int = 1
) -> str:
    """Return a table. rows: whether the row passed, and its cells; the cell that says so is coloured."""

    def kind(number: int) -> str:
        return ' class="text"' if number < text_columns or not heads[number] else ""

    lines = [
        "<tr>" + "".join(f"<th{kind(i)}>{escape(h)}</th>" for i, h in enumerate(heads)) + "</tr>"
    ]
    for passed, cells in rows:
        row = ""
        for number, cell in enumerate(cells):
            text = escape(cell)
            if cell == _word(passed):
                text = f'<span class="{"good" if passed else "bad"}">{text}</span>'
            row += f"<td{kind(number)}>{text}</td>"
        lines.append(f"<tr{'' if passed else ' class=differs'}>{row}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _legend() -> str:
    keys = (("missing now", MISSING_RGB), ("new now", ADDED_RGB), ("another class", OTHER_RGB))
    return (
        '<p class="soft">Difference:'
        + "".join(
            f'<span class="key" style="background: rgb{colour}"></span>{name}'
            for name, colour in keys
        )
        + ". Differing pixels are drawn wider than they are, and small groups have a white ring. "
        "Click an image to enlarge it.</p>"
        '<p class="soft">The numbers of tracks (#3) may differ between golden and now, since they depend on what the '
        "node tracked before. An object whose number changes during the run is a difference, and is named.</p>"
    )


def _figure(frame: DifferingFrame) -> str:
    data = base64.b64encode(frame.jpeg).decode()
    reasons = escape("; ".join(frame.difference.reasons))
    anchor = anchor_of(frame.difference)
    return (
        f'<figure id="{anchor}"><figcaption><strong>{escape(frame.difference.title)}</strong><br>{reasons}'
        ' <a class="close" href="#frames">back to the page</a></figcaption>'
        '<div class="panels"><span>image</span><span>golden</span><span>now</span><span>difference</span></div>'
        f'<a href="#{anchor}"><img alt="Image, golden, now and difference: {reasons}" '
        f'src="data:image/jpeg;base64,{data}"></a></figure>'
    )


def _histogram(latencies: Latencies) -> str:
    bins = latencies.bins()
    summary_line = f"<p>{escape(latency_summary(latencies))}.</p>"
    if not bins:
        return summary_line
    most = max(count for _, _, count in bins)
    step = _SVG_WIDTH / len(bins)
    bottom = _SVG_HEIGHT - _SVG_FOOT
    bars = []
    for number, (low, _, count) in enumerate(bins):
        left, height = number * step, (bottom - 20) * count / most
        bars.append(
            f'<rect x="{left + 2:.1f}" y="{bottom - height:.1f}" width="{step - 4:.1f}" height="{height:.1f}"/>'
            f'<text x="{left + step / 2:.1f}" y="{bottom - height - 5:.1f}" text-anchor="middle">{count or ""}</text>'
            f'<text x="{left:.1f}" y="{bottom + 16}" text-anchor="{"middle" if number else "start"}">{low:.0f}</text>'
        )
    return (
        f'{summary_line}<div class="wide"><svg viewBox="0 0 {_SVG_WIDTH} {_SVG_HEIGHT}" width="{_SVG_WIDTH}" '
        f'role="img" aria-label="Histogram of latencies">{"".join(bars)}'
        f'<line x1="0" y1="{bottom}" x2="{_SVG_WIDTH}" y2="{bottom}"/>'
        f'<text x="{_SVG_WIDTH / 2}" y="{_SVG_HEIGHT - 6}" text-anchor="middle">milliseconds from publishing a '
        "image to its results; frames a bar</text></svg></div>"
    )
