# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The held-out test scenes of the built-in model: made apart from training, and scored as pixels say.

`training` is not installed; it is imported from the source folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def sources() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_code_of_training_imports_the_held_out_scenes() -> None:
    training = [p for p in (ROOT / "training").rglob("*.py") if "heldout" not in p.parts]
    assert len(training) > 10
    assert [p for p in training if any("heldout" in name for name in imports(p))] == []


def test_the_held_out_scenes_share_names_and_scores_with_training_and_nothing_else() -> None:
    shared = {"training.names", "training.scores"}
    for path in (ROOT / "training" / "heldout").glob("*.py"):
        own = {name for name in imports(path) if name.startswith("training.heldout")}
        others = {name for name in imports(path) - own if name.startswith("training.")}
        assert {".".join(name.split(".")[:2]) for name in others} <= shared, path


def test_every_shape_is_a_finite_surface_of_unit_size_on_the_table() -> None:
    from training.heldout.shapes import KIND_SHAPES, stranger
    from training.names import KINDS

    assert set(KIND_SHAPES) == set(KINDS)
    for name, shape in [*KIND_SHAPES.items(), *(("stranger", stranger) for _ in range(20))]:
        rng = np.random.default_rng([len(name)])
        surface = shape(rng)
        low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
        assert np.isfinite(surface.vertices).all(), name
        assert (high - low).max() == pytest.approx(1), name
        assert low[2] == pytest.approx(0), name
        assert surface.triangles.min() == 0
        assert surface.triangles.max() == len(surface.vertices) - 1


def test_no_two_shapes_of_a_kind_are_alike_except_balls() -> None:
    from training.heldout.shapes import KIND_SHAPES

    for name, shape in KIND_SHAPES.items():
        first, second = shape(np.random.default_rng(1)), shape(np.random.default_rng(2))
        different = first.vertices.shape != second.vertices.shape or bool(
            np.abs(first.vertices - second.vertices).max() > 0.01
        )
        assert different or "ball" in name, name


@pytest.mark.parametrize("name", ["plain", "meshes", "large", "crowded"])
def test_a_set_shows_the_same_scenes_each_time_with_half_of_its_objects_never_seen(
    name: str,
) -> None:
    from training.heldout.scenes import SETS, draw
    from training.names import HELD_OUT_PAIRS

    scenes = [draw(name, number) for number in range(12)]
    again = draw(name, 3)
    assert [o.pair for o in again.objects] == [o.pair for o in scenes[3].objects]
    assert np.array_equal(again.objects[0].surface.vertices, scenes[3].objects[0].surface.vertices)
    pairs = [o.pair for scene in scenes for o in scene.objects if o.pair]
    assert 0.35 < np.mean([pair in HELD_OUT_PAIRS for pair in pairs]) < 0.65
    low, high = SETS[name].objects
    counts = [sum(o.pair is not None for o in scene.objects) for scene in scenes]
    assert max(counts) <= high
    assert np.median(counts) >= low - 1


def test_plain_objects_have_one_colour_except_for_soccer_balls() -> None:
    from training.heldout.scenes import draw

    kinds = {}
    for number in range(20):
        for standing in draw("plain", number).objects:
            kind = standing.pair[1] if standing.pair else ""
            kinds[kind] = max(kinds.get(kind, 0), len(np.unique(standing.colours, axis=0)))
    assert kinds.pop("soccer ball") == 2
    assert set(kinds.values()) == {1}


def test_scores_are_the_overlaps_of_present_prompts_and_the_largest_areas_of_absent_ones() -> None:
    from training.heldout.evaluate import SetScores, add
    from training.names import ALL_PAIRS, IGNORE

    pairs = np.zeros((100, 100), np.uint8)
    pairs[:20, :20] = 1 + ALL_PAIRS.index(("red", "mug"))
    pairs[40:60, :20] = 1 + ALL_PAIRS.index(("green", "mug"))
    pairs[:, 90:] = IGNORE
    masks = np.zeros((len(ALL_PAIRS), 100, 100), np.bool_)
    masks[:, 70:75, 30:40] = True
    masks[ALL_PAIRS.index(("red", "mug"))] = False
    masks[ALL_PAIRS.index(("red", "mug")), 10:20, :20] = True  # half of it
    masks[ALL_PAIRS.index(("red", "mug")), :, 95:] = True  # ignored
    green = ALL_PAIRS.index(("green", "mug"))
    masks[green] = pairs == 1 + green
    scores = SetScores()
    add(scores, masks, pairs, lambda present: [("red", "duck"), ("blue", "ball")])
    figures = scores.summary()
    assert figures["seen"] == pytest.approx(0.5)
    assert figures["never seen"] == pytest.approx(1.0)
    assert figures["mug"] == pytest.approx(0.75)
    assert figures["duck"] is None
    assert figures["largest area of an absent prompt"] == pytest.approx(0.5)
    assert figures["absent prompts with an object-sized area"] == 100
