# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Families of models that other packages offer by entry points, with packages installed into a folder of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inputs import noise, segment, words

from zs_seg_ros import LoadOptions, ModelError, load_segmenter

CPU = LoadOptions(device="cpu")
HALVES = np.array([0.5, 0.5, 0.5], np.float32)

WHOLE_SEGMENTER = """
import numpy as np
from zs_seg_ros import EncodedVocabulary, Segmentation, Segmenter

class EverythingSegmenter(Segmenter):
    # Every pixel is of the first class.
    def __init__(self, model, folder, options):
        self.model, self.device = model, "cpu"
        self.folder, self.options = folder, options

    def encode(self, vocabulary):
        return EncodedVocabulary(vocabulary, vocabulary.ids[0])

    def segment(self, batch, encoded):
        sizes = [image.shape[:2] for image in batch.images]
        return [
            Segmentation(np.full(s, encoded.features, np.uint8), np.full(s, 255, np.uint8)) for s in sizes
        ]
"""

PAIR = """
import torch
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, BoxSegmenter, Detector

class OneBoxDetector(Detector):
    # Each prompt has one box, from (10, 5) to (30, 20).
    def __init__(self, model, folder, options):
        self.model, self.device = model, "cpu"

    def encode(self, prompts):
        return prompts

    def detect(self, images, encoded, thresholds):
        count = len(encoded)
        corners = torch.tensor([[10.0, 5.0, 30.0, 20.0]]).repeat(count, 1)
        return [Boxes(corners, torch.full((count,), 0.6), torch.arange(count)) for _ in images]

class UpperHalfSegmenter(BoxSegmenter):
    # The mask of every box is the upper half of the image.
    def __init__(self, model, folder, options):
        self.model = model

    def masks(self, images, boxes):
        halves = torch.tensor([[1.0], [-1.0]])
        sizes = [image.shape[:2] for image in images]
        masks = [halves.repeat_interleave(height // 2, 0).expand(-1, width) for height, width in sizes]
        return [mask.expand(len(of_image), -1, -1) for mask, of_image in zip(masks, boxes)]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on the search path for packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(site: Path, package: str, entry_points: str, **modules: str) -> None:
    """Install a package as pip does: its modules, by name, and its metadata."""
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)
    metadata = site / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)


def checkpoint(tmp_path: Path, model_type: str) -> str:
    folder = tmp_path / model_type
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return str(folder)


SEGMENTS_WITHOUT_TORCH = """
import sys
import numpy as np
from zs_seg_ros import Batch, LoadOptions, TargetClass, Vocabulary, load_segmenter
assert "everything" not in sys.modules
segmenter = load_segmenter(sys.argv[1], LoadOptions(device="cpu"))
assert "torch" not in sys.modules
vocabulary = Vocabulary().changed_to([TargetClass("mug")])
batch = Batch((np.zeros((4, 6, 3), np.uint8),), vocabulary.thresholds(0.5))
[segmentation] = segmenter.segment(batch, segmenter.encode(vocabulary))
print(type(segmenter).__name__, segmentation.label.shape, segmentation.label.min())
print(segmenter.model, segmenter.folder, segmenter.options.device)
"""


def test_a_family_of_another_package_segments_an_image_and_needs_no_torch(
    tmp_path: Path, site: Path
) -> None:
    entry_points = "[zs_seg_ros.families]\neverything = everything:EverythingSegmenter\n"
    install(site, "everything-models", entry_points, everything=WHOLE_SEGMENTER)
    model = checkpoint(tmp_path, "everything")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    completed = subprocess.run(
        [sys.executable, "-c", SEGMENTS_WITHOUT_TORCH, model],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    first, second = completed.stdout.splitlines()
    assert first == "EverythingSegmenter (4, 6) 1"
    assert second == f"{model} {model} cpu"


def test_a_detector_and_a_mask_model_of_another_package_make_a_pair(
    tmp_path: Path, site: Path
) -> None:
    entry_points = (
        "[zs_seg_ros.detectors]\none_box = pair_models:OneBoxDetector\n"
        "[zs_seg_ros.box_segmenters]\nupper_half = pair_models:UpperHalfSegmenter\n"
    )
    install(site, "pair-models", entry_points, pair_models=PAIR)
    model = f"{checkpoint(tmp_path, 'one_box')} + {checkpoint(tmp_path, 'upper_half')}"
    [result] = segment(load_segmenter(model, CPU), words("mug"), noise(40, 60))
    assert (result.label[:20] == 1).all() and not result.label[20:].any()
    assert (result.confidence[:20] == 153).all()


def test_a_detector_of_another_package_alone_is_answered_with_the_pair_to_write(
    tmp_path: Path, site: Path
) -> None:
    install(site, "lone-detector", "[zs_seg_ros.detectors]\nlone = lone_detector:Detector\n")
    with pytest.raises(ModelError, match=r"lone finds boxes only .* write .*lone \+ facebook/sam2"):
        load_segmenter(checkpoint(tmp_path, "lone"), CPU)


def test_the_known_kinds_in_a_message_include_those_of_other_packages(
    tmp_path: Path, site: Path
) -> None:
    entry_points = (
        "[zs_seg_ros.families]\nfirst_kind = no_such_module:A\n"
        "[zs_seg_ros.detectors]\nsecond_kind = no_such_module:B\n"
        "[zs_seg_ros.box_segmenters]\nthird_kind = no_such_module:C\n"
    )
    install(site, "three-kinds", entry_points)
    with pytest.raises(ModelError, match=r"'yolo'.*first_kind.*second_kind.* \+ .*third_kind"):
        load_segmenter(checkpoint(tmp_path, "yolo"), CPU)


@pytest.mark.parametrize("group", ["families", "detectors", "box_segmenters"])
def test_a_model_type_that_is_built_in_cannot_be_taken_and_both_packages_are_named(
    tmp_path: Path, site: Path, group: str
) -> None:
    install(site, "my-clipseg", f"[zs_seg_ros.{group}]\nclipseg = never_imported:ClipSeg\n")
    with pytest.raises(ModelError) as refused:
        load_segmenter(checkpoint(tmp_path, "clipseg"), CPU)
    message = str(refused.value)
    assert "'clipseg' is offered by zs_seg_ros itself" in message and "\n" not in message
    assert "and my-clipseg (as never_imported:ClipSeg)" in message
    # Other models are not affected.
    assert load_segmenter("tabletop", CPU).model == "tabletop"


def test_a_model_type_of_two_other_packages_is_refused_and_both_are_named(
    tmp_path: Path, site: Path
) -> None:
    for package in ("first-owner", "second-owner"):
        install(site, package, "[zs_seg_ros.families]\ndisputed = never_imported:Segmenter\n")
    with pytest.raises(ModelError) as refused:
        load_segmenter(checkpoint(tmp_path, "disputed"), CPU)
    message = str(refused.value)
    assert "'disputed' is offered by" in message and "\n" not in message
    assert "first-owner" in message and "second-owner" in message


@pytest.mark.parametrize(
    ("value", "source", "reason"),
    [
        ("missing_module:Segmenter", "", "ModuleNotFoundError: No module named 'missing_module'"),
        ("broken_module:Segmenter", "raise RuntimeError('no\\nGPU')", "RuntimeError: no"),
        ("empty_module:Segmenter", "", "AttributeError: .*Segmenter"),
    ],
)
def test_a_class_that_cannot_be_imported_names_the_package_and_the_error(
    tmp_path: Path, site: Path, value: str, source: str, reason: str
) -> None:
    module = value.partition(":")[0]
    modules = {} if module == "missing_module" else {module: source}
    install(site, "broken-models", f"[zs_seg_ros.families]\nbroken = {value}\n", **modules)
    with pytest.raises(ModelError, match=rf"package broken-models .*'broken'.*\({reason}") as error:
        load_segmenter(checkpoint(tmp_path, "broken"), CPU)
    assert "\n" not in str(error.value)


def test_a_class_without_the_interface_is_refused_in_one_sentence(
    tmp_path: Path, site: Path
) -> None:
    entry_points = "[zs_seg_ros.families]\nbare = bare_models:Bare\n"
    source = "class Bare:\n    def __init__(self, *arguments): pass\n"
    install(site, "bare-models", entry_points, bare_models=source)
    with pytest.raises(ModelError, match=r"bare_models:Bare, .* does not implement Segmenter"):
        load_segmenter(checkpoint(tmp_path, "bare"), CPU)


ULTRALYTICS = """
import torch

class Found:
    def __init__(self, xyxy, conf, cls):
        self.xyxy, self.conf, self.cls = xyxy, conf, cls

    def __getitem__(self, index):
        return Found(self.xyxy[index], self.conf[index], self.cls[index])

    def cpu(self):
        return self

class Result:
    def __init__(self, boxes):
        self.boxes = boxes

class YOLOE:
    # Detects each class in a box around the blue pixels of a BGR image, the second with the score 0.3.
    def __init__(self, path):
        assert path.name == "yoloe-11s-seg.pt"

    def get_text_pe(self, names):
        return torch.ones(1, len(names), 4)

    def set_classes(self, names, embeddings):
        assert embeddings.shape == (1, len(names), 4)
        self.names = names

    def predict(self, images, conf, device, verbose):
        results = []
        for image in images:
            rows, columns = (image[..., 0] > 128).nonzero()
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            count = len(self.names)
            boxes = torch.tensor([list(map(float, box))]).repeat(count, 1)
            scores = torch.tensor([0.6, 0.3, 0.6][:count])
            reached = scores >= conf
            classes = torch.arange(count).float()
            results.append(Result(Found(boxes, scores, classes)[reached]))
        return results
"""


def test_the_example_of_yoloe_in_the_page_on_the_architecture_segments(
    tmp_path: Path, site: Path
) -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    [source] = [
        block.split("```")[0]
        for block in page.read_text().split("```python\n")[1:]
        if block.startswith("# my_yoloe.py")
    ]
    (site / "ultralytics.py").write_text(ULTRALYTICS)
    entry_points = "[zs_seg_ros.detectors]\nyoloe = my_yoloe:YoloeDetector\n"
    entry_points += "[zs_seg_ros.box_segmenters]\nupper = my_halves:UpperHalfSegmenter\n"
    install(site, "my-yoloe", entry_points, my_yoloe=source, my_halves=PAIR)
    yoloe = Path(checkpoint(tmp_path, "yoloe"))
    (yoloe / "yoloe-11s-seg.pt").touch()
    segmenter = load_segmenter(f"{yoloe} + {checkpoint(tmp_path, 'upper')}", CPU)
    image = noise(20, 30) // 4
    image[5:15, 10:22, 2] = 255
    encoded = segmenter.encode(words("mug", "duck", "ball"))
    corners = segmenter.detector.detect([image], encoded.features.prompts, HALVES)[0]  # type: ignore[attr-defined]
    assert corners.prompt_index.tolist() == [0, 2]
    assert corners.corners.tolist() == [[10, 5, 22, 15]] * 2
    [result] = segment(segmenter, words("mug", "duck", "ball"), image, threshold=0.25)
    assert result.instances is not None and len(result.instances) == 3
