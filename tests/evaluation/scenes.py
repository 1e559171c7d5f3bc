# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Drawn images for the fake model, which finds colours by their names, with their ground truth in several forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.cli.main import main
from zs_seg_ros.segmenters.fake import PALETTE

SIZE = (48, 64)
SQUARES = {"red": (slice(4, 24), slice(6, 26)), "blue": (slice(20, 44), slice(34, 60))}
IDS = {"red": 7, "blue": 26}


def image(**moved: int) -> NDArray[np.uint8]:
    """Draw the squares on white, each moved to the right by so many pixels."""
    pixels = np.full((*SIZE, 3), PALETTE["white"], np.uint8)
    for name, (rows, columns) in SQUARES.items():
        shift = moved.get(name, 0)
        pixels[rows, columns.start + shift : columns.stop + shift] = PALETTE[name]
    return pixels


def ids() -> NDArray[np.uint8]:
    """Return the class ids of the squares where they are without a shift."""
    label = np.zeros(SIZE, np.uint8)
    for name, place in SQUARES.items():
        label[place] = IDS[name]
    return label


def write_class_id_images(folder: Path, images: dict[str, NDArray[np.uint8]]) -> Path:
    """Write images, their ids in the layout of Cityscapes, and the YAML file; return its path."""
    for name, pixels in images.items():
        for part, array in (("leftImg8bit", pixels), ("gtFine_labelIds", ids())):
            path = folder / part / "town" / f"{name}_{part}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    truth = folder / "truth.yaml"
    truth.write_text(
        "images: leftImg8bit\nlabels: gtFine_labelIds\nimage_suffix: _leftImg8bit.png\n"
        "label_suffix: _gtFine_labelIds.png\nignore: [255]\n"
        "classes:\n  7: red\n  26: {name: blue, prompts: [blue, navy]}\n"
    )
    return truth


def write_coco(folder: Path, images: dict[str, NDArray[np.uint8]]) -> Path:
    """Write images and a COCO file with the squares as polygons; return its path."""
    entries, annotations = [], []
    for number, (name, pixels) in enumerate(images.items(), 1):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        entries.append(
            {"id": number, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]}
        )
        for category, (rows, columns) in enumerate(SQUARES.values(), 11):
            x, y, right, low = columns.start, rows.start, columns.stop, rows.stop
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": [[x, y, right, y, right, low, x, low]],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": n, "name": name} for n, name in enumerate(SQUARES, 11)]
    path = folder / "truth.json"
    path.write_text(
        json.dumps({"images": entries, "categories": categories, "annotations": annotations})
    )
    return path


def evaluated(*arguments: object) -> Any:
    """Run `zs-seg evaluate` with the fake model, which must succeed, and return its JSON."""
    out = Path(str(arguments[0])).parent / "scores.json"
    assert main(["evaluate", *map(str, arguments), "--model", "fake", "--json", str(out)]) == 0
    return json.loads(out.read_text())
