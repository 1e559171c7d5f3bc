# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes the demo's images: a strip of overlays over time, all overlays as an MP4, some seconds as a WebP."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zs_seg_ros.files import write_output

IMAGES_PER_ROW = 4
LINE_PX = 24
FONT = ImageFont.load_default(14)
BACKGROUND, INK, ACCENT = (24, 26, 30), (235, 235, 235), (255, 176, 59)
ENLARGE = 2
MOVING_S, MOVING_HZ, MOVING_QUALITY = 8.0, 5.0, 60
"""Length, rate and quality of the animation; half of it is before the change. Small enough for a web page."""

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class OverlayFrame:
    """One overlay. seconds: since the first one; changed: shows the new vocabulary."""

    seconds: float
    image: RgbImage  # (H, W, 3) RGB
    changed: bool


@dataclass(frozen=True)
class Captions:
    """Texts that are drawn next to the overlays."""

    before: str
    change: str
    after: str


def write_strip(path: Path, frames: list[OverlayFrame], captions: Captions) -> None:
    """Write a PNG: a row of overlays before the change of vocabulary, a line of text about it, a row after."""
    rows = [
        _row(captions.before, [f for f in frames if not f.changed], INK),
        _row(captions.change, [], ACCENT),
        _row(captions.after, [f for f in frames if f.changed], INK),
    ]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(padded)).save(file, "PNG")
    write_output(path, file.getvalue())


def _row(caption: str, frames: list[OverlayFrame], ink: tuple[int, int, int]) -> RgbImage:
    chosen = _evenly(frames, IMAGES_PER_ROW)
    width = sum(f.image.shape[1] for f in chosen) if chosen else 4 * 320
    parts = [_line(caption, width, ink)]
    if chosen:
        times = [_line(f"{f.seconds:.1f} s", f.image.shape[1], INK) for f in chosen]
        parts.append(np.concatenate(times, axis=1))
        parts.append(np.concatenate([f.image for f in chosen], axis=1))
    return np.concatenate(parts)


def _evenly(frames: list[OverlayFrame], count: int) -> list[OverlayFrame]:
    """Return `count` of the frames, evenly spaced, neither the first nor the last one."""
    if len(frames) <= count:
        return frames
    middles = (np.arange(count) + 0.5) * len(frames) / count
    return [frames[int(i)] for i in middles]


def _line(text: str, width: int, ink: tuple[int, int, int]) -> RgbImage:
    """(LINE_PX, width, 3): a line of text, cut off with … where it is too long."""
    while text and FONT.getlength(text) > width - 12:
        text = text.removesuffix("…")[:-1] + "…"
    canvas = Image.new("RGB", (width, LINE_PX), BACKGROUND)
    ImageDraw.Draw(canvas).text((6, 3), text, fill=ink, font=FONT)
    return np.asarray(canvas)


def write_video(path: Path, frames: list[OverlayFrame], captions: Captions) -> None:
    """Write an H.264 MP4 of the overlays at their recorded times, enlarged, with the vocabulary below."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.pix_fmt = "yuv420p"  # what browsers play
        stream.options = {"crf": "20"}
        time_base = Fraction(1, 1000)
        stream.codec_context.time_base = time_base
        for frame in frames:
            image = _captioned(frame, captions)
            stream.height, stream.width = image.shape[:2]
            video_frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            video_frame.pts, video_frame.time_base = round(frame.seconds * 1000), time_base
            container.mux(stream.encode(video_frame))
        container.mux(stream.encode())
    write_output(path, file.getvalue())


def write_animation(path: Path, frames: list[OverlayFrame], captions: Captions) -> None:
    """Write an animated WebP, which web pages show inline, of the seconds around the change of vocabulary."""
    change_s = next((f.seconds for f in frames if f.changed), frames[-1].seconds)
    start_s = max(0.0, change_s - MOVING_S / 2)
    chosen: list[OverlayFrame] = []
    for frame in frames:
        due_s = chosen[-1].seconds + 1 / MOVING_HZ if chosen else start_s
        if due_s - 0.01 <= frame.seconds <= start_s + MOVING_S:  # stamps of 10 Hz are not exact
            chosen.append(frame)
    first, *others = (Image.fromarray(_captioned(frame, captions)) for frame in chosen)
    times_ms = [round(1000 * frame.seconds) for frame in chosen]
    shown_ms = [b - a for a, b in pairwise(times_ms)] + [1000]  # a pause before it repeats
    file = io.BytesIO()
    first.save(
        file,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=shown_ms,
        loop=0,
        quality=MOVING_QUALITY,
    )
    write_output(path, file.getvalue())


def _captioned(frame: OverlayFrame, captions: Captions) -> RgbImage:
    text = captions.after if frame.changed else captions.before
    return captioned(frame.image, text, ACCENT if frame.changed else INK)


def captioned(image: RgbImage, text: str, ink: tuple[int, int, int]) -> RgbImage:
    """Return the image enlarged, with a line of text below."""
    large = image.repeat(ENLARGE, axis=0).repeat(ENLARGE, axis=1)
    whole = np.concatenate([large, _line(text, large.shape[1], ink)])
    height, width = (side // 2 * 2 for side in whole.shape[:2])  # H.264 wants even sides
    even: RgbImage = whole[:height, :width]
    return even
