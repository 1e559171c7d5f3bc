# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Kept objects: one instance of a class, from image to image, by exemplar, by track and by optical flow."""

from __future__ import annotations

import ctypes
import gc
import threading
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.errors import SelectionError, VocabularyError
from zs_seg_ros.perception import live_model
from zs_seg_ros.perception.kept_object import KeptObject, new_kept_object
from zs_seg_ros.perception.kept_objects import KeptObjects
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_object import Mark, exemplar_of, marked_object
from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.perception.target import RecentScenes, SceneObjects, scene_objects
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import PALETTE, ColoursOfClasses, FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import Batch, Box, DetectedObject, Frame, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

HEIGHT, WIDTH, SIDE = 48, 96, 12
STEP_S = 0.1
OBJECTS = RequestedOutputs(objects=True)
Square = tuple[str, int, int]


class ExemplarSegmenter(FakeSegmenter):
    """The fake model with exemplars: their colour is their prompt, and they win against words, as with real models."""

    model = "fake with exemplars"

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[ColoursOfClasses]:
        in_words = replace(vocabulary, classes=tuple(map(_in_words, vocabulary.classes)))
        return super().encode(in_words)

    def segment(
        self, batch: Batch, encoded: EncodedVocabulary[ColoursOfClasses]
    ) -> list[Segmentation]:
        classes, ids = encoded.vocabulary.classes, encoded.vocabulary.ids
        order = sorted(range(len(ids)), key=lambda i: not classes[i].exemplars)
        vocabulary = replace(
            encoded.vocabulary,
            classes=tuple(classes[i] for i in order),
            ids=tuple(ids[i] for i in order),
        )
        features = tuple(encoded.features[i] for i in order)
        reordered = replace(batch, thresholds=batch.thresholds[order])
        return super().segment(reordered, EncodedVocabulary(vocabulary, features))


def _in_words(target: TargetClass) -> TargetClass:
    colours = [_colour_of(exemplar) for exemplar in target.exemplars]
    return TargetClass(target.name, (*target.prompts, *colours) if colours else target.prompts)


def _colour_of(exemplar: Exemplar) -> str:
    assert exemplar.mask is not None
    mean = exemplar.image[exemplar.mask].mean(axis=0)
    return min(PALETTE, key=lambda name: float(np.abs(mean - PALETTE[name]).sum()))


@dataclass
class Stage:
    """A model, its vocabulary and the pipeline, shown one image after another by one camera."""

    words: tuple[str, ...] = ("red", "blue")
    exemplars: bool = True
    stamp_s: float = 100.0
    settings: Settings = field(default_factory=lambda: Settings(min_area=4))

    def __post_init__(self) -> None:
        self.model = LiveModel(lambda: 0)
        first = Vocabulary().changed_to(map(TargetClass, self.words)) if self.words else None
        self.model.load("fake", LoadOptions(), first)
        if self.exemplars:
            self.model.segmenter = ExemplarSegmenter()
        if not self.words:
            self.model.change_vocabulary([])
        self.pipeline = Pipeline(kept=self.model.kept)
        self.newest: Scene

    def show(self, *squares: Square, camera: str = "front", after_s: float = STEP_S) -> Scene:
        """Return the scene of an image."""
        self.stamp_s += after_s
        return self.scene_of(image_of(*squares), camera)

    def scene_of(self, image: NDArray[np.uint8], camera: str = "front") -> Scene:
        frame = Frame(camera, image, round(self.stamp_s * 1e9), requested=OBJECTS)
        assert self.model.segmenter is not None and self.model.encoded is not None
        (self.newest,) = self.pipeline.process(
            [frame], self.model.segmenter, self.model.encoded, self.settings
        )
        return self.newest

    def keep(self, name: str = "kept 1", mark: Mark | None = None, limit: int = 8) -> KeptObject:
        """Keep the object at a mark, by default at (12, 12), in the newest image."""
        scene = scene_objects(self.newest)
        marked = marked_object(scene, mark or Mark(Box(12, 12, 1, 1)))
        assert scene.frame is not None
        new = new_kept_object(scene.frame.camera, name, marked, scene.frame)
        kept = replace(new, memory=self.model.remember(new.exemplar))
        self.model.kept.begin(kept, [scene.frame], limit)
        target = TargetClass(name, exemplars=(kept.exemplar,))
        self.model.edit_vocabulary(lambda classes: (*classes, target))
        self.model.kept.confirm(name)
        return kept

    def forget(self, name: str = "kept 1") -> None:
        self.model.edit_vocabulary(lambda classes: [c for c in classes if c.name != name])


def image_of(*squares: Square) -> NDArray[np.uint8]:
    image = np.random.default_rng(0).integers(225, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for colour, left, top in squares:
        image[top : top + SIDE, left : left + SIDE] = PALETTE[colour]
    return image


def lefts(scene: Scene) -> dict[str, list[int]]:
    """The left edges of the objects of each class."""
    found: dict[str, list[int]] = {}
    for detected in scene.objects:
        name = scene.vocabulary.names[scene.vocabulary.ids.index(detected.class_id)]
        found.setdefault(name, []).append(detected.box.left)
    return {name: sorted(edges) for name, edges in found.items()}


@pytest.mark.parametrize("exemplars", [True, False])
def test_of_two_that_look_alike_only_the_kept_one_has_its_class(exemplars: bool) -> None:
    stage = Stage(exemplars=exemplars)
    stage.show(("red", 10, 10), ("red", 60, 20))
    stage.show(("red", 10, 10), ("red", 60, 20))
    kept = stage.keep()
    assert kept.track_id == stage.newest.objects[0].track_id > 0
    for step in range(1, 11):
        scene = stage.show(("red", 10 + 2 * step, 10), ("red", 60, 20))
        assert lefts(scene) == {"kept 1": [10 + 2 * step], "red": [60]}
        ids = [o.track_id for o in scene.objects if o.box.left < 60]
        assert ids == [kept.track_id]


def test_an_object_of_an_unknown_word_is_followed_and_those_like_it_become_background() -> None:
    stage = Stage(words=("blue",))
    stage.show(("red", 10, 10))
    kept = stage.keep(mark=Mark(Box(10, 10, SIDE, SIDE)))
    assert kept.origin == 0
    scene = stage.show(("red", 12, 10), ("red", 60, 20), ("blue", 40, 20))
    assert lefts(scene) == {"kept 1": [12], "blue": [40]}
    segmentation = scene.segmentation
    assert (segmentation.label > 0).sum() == 2 * SIDE * SIDE
    assert ((segmentation.confidence > 0) == (segmentation.label > 0)).all()


def test_after_a_loss_the_best_scoring_instance_is_taken_for_it() -> None:
    stage = Stage(words=("blue",))
    stage.show(("red", 10, 10))
    kept = stage.keep(mark=Mark(Box(10, 10, SIDE, SIDE)))
    stage.show(("red", 10, 10))
    stage.show(after_s=LONGEST_ABSENCE_S + 1)
    image = image_of(("red", 70, 20), ("red", 40, 20))
    image[20 : 20 + SIDE, 40 : 40 + SIDE] += 25  # less like red
    stage.stamp_s += STEP_S
    scene = stage.scene_of(image)
    assert lefts(scene) == {"kept 1": [70]}
    assert scene.objects[0].track_id == kept.track_id


def test_an_object_that_the_model_misses_is_carried_by_optical_flow_and_fades() -> None:
    stage = Stage(words=("blue",), exemplars=False)
    image = textured()
    stage.scene_of(image)
    kept = KeptObject(
        "kept 1",
        "front",
        9000,
        2,
        exemplar_of(stage.newest.frame, whole(20, 10)),
        whole(20, 10),
        stage.newest.frame.stamp_ns,
        stage.newest.frame.stamp_ns,
    )
    stage.model.kept.begin(kept, [stage.newest.frame], 8)
    stage.model.edit_vocabulary(
        lambda classes: (*classes, TargetClass("kept 1", exemplars=(kept.exemplar,)))
    )
    stage.model.kept.confirm("kept 1")
    scores = []
    for step in range(1, 30):
        stage.stamp_s += STEP_S
        scene = stage.scene_of(np.roll(image, step, axis=1))
        (carried,) = scene.objects
        assert abs(carried.box.left - 20 - step) <= 2
        assert carried.track_id == 9000
        scores.append(carried.score)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9 > 0.65 > scores[-1]
    stage.stamp_s += LONGEST_ABSENCE_S
    assert not stage.scene_of(np.roll(image, 30, axis=1)).objects
    assert stage.model.kept.all[0].lost
    assert "'kept 1' is lost" in stage.model.kept.problems()[0]


def textured() -> NDArray[np.uint8]:
    """An image whose motion can be estimated, without a blue pixel."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 2, (HEIGHT // 4, WIDTH // 4)).astype(np.uint8)
    grey = np.kron(coarse, np.ones((4, 4), np.uint8)) * 150 + 60
    return np.repeat(grey[..., None], 3, axis=2)


def whole(left: int, top: int, class_id: int = 0, score: float = 1.0) -> DetectedObject:
    mask = np.ones((SIDE, SIDE), np.bool_)
    return DetectedObject(class_id, score, Box(left, top, SIDE, SIDE), mask)


def test_another_camera_has_no_object_of_the_class() -> None:
    stage = Stage()
    stage.show(("red", 10, 10))
    stage.keep()
    assert lefts(stage.show(("red", 10, 10), camera="rear")) == {"red": [10]}
    assert lefts(stage.show(("red", 10, 10))) == {"kept 1": [10]}


def test_a_scene_of_the_vocabulary_before_does_not_show_a_forgotten_class() -> None:
    stage = Stage()
    stage.show(("red", 10, 10))
    stage.keep()
    segmenter, encoded = stage.model.segmenter, stage.model.encoded
    assert segmenter is not None and encoded is not None
    stage.forget()
    frame = replace(stage.newest.frame, stamp_ns=stage.newest.frame.stamp_ns + 10**8)
    (late,) = stage.pipeline.process([frame], segmenter, encoded, stage.settings)
    assert "kept 1" in late.vocabulary.names
    assert lefts(late) == {"red": [10]}


def test_a_class_that_gets_the_name_later_is_not_limited() -> None:
    stage = Stage(words=("red", "blue"))
    stage.show(("red", 10, 10))
    stage.keep("green")
    stage.forget("green")
    stage.model.change_vocabulary([TargetClass("green")])
    assert lefts(stage.show(("green", 10, 10), ("green", 60, 10))) == {"green": [10, 60]}


def test_of_instances_those_that_overlap_the_kept_one_are_the_same_object() -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("red"), TargetClass("kept 1")])
    kept_objects = KeptObjects()
    frame = Frame("front", image_of(), 10**9, requested=OBJECTS)
    exemplar = exemplar_of(frame, whole(10, 10))
    kept = KeptObject("kept 1", "front", 7, 1, exemplar, whole(10, 10, 1), 10**9, 10**9)
    kept_objects.begin(kept, [frame], 8)
    instances = (
        whole(11, 10, 1, 0.9),  # the kept object, detected by word and by exemplar
        whole(11, 10, 2, 0.8),
        whole(60, 10, 2, 0.7),  # another one, by its exemplar alone
        whole(80, 10, 2, 0.6),  # and one detected by both
        whole(80, 11, 1, 0.5),
    )
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for each in instances[::-1]:
        label[each.box.top : each.box.top + SIDE, each.box.left : each.box.left + SIDE] = (
            each.class_id
        )
    segmentation = Segmentation(label, (label > 0) * np.uint8(200), instances)
    later = replace(frame, stamp_ns=2 * 10**9)
    scene = Scene(later, segmentation, vocabulary)
    scene = Pipeline(kept=kept_objects).completed(scene, Settings(min_area=4))
    assert lefts(scene) == {"kept 1": [11], "red": [60, 80]}
    assert set(np.unique(scene.segmentation.label)) == {0, 1, 2}
    assert (scene.segmentation.label == 2).sum() == SIDE * SIDE


def test_time_that_runs_backwards_ends_a_track_and_not_an_exemplar() -> None:
    for exemplars in (True, False):
        stage = Stage(exemplars=exemplars)
        stage.show(("red", 10, 10))
        stage.keep()
        scene = stage.show(("red", 40, 10), after_s=-50)
        assert lefts(scene) == ({"kept 1": [40]} if exemplars else {"red": [40]})


def test_a_mask_without_a_detection_is_refused_by_a_model_without_exemplars() -> None:
    stage = Stage(words=("blue",), exemplars=False)
    stage.show(("red", 10, 10))
    version = stage.model.vocabulary.version
    with pytest.raises(VocabularyError, match="example images"):
        stage.keep(mark=Mark(Box(10, 10, SIDE, SIDE)))
    assert stage.model.vocabulary.version == version


def test_objects_keep_working_when_set_vocabulary_adds_a_class() -> None:
    stage = Stage(exemplars=False)
    stage.show(("red", 10, 10))
    kept = stage.keep()
    stage.model.change_vocabulary([*stage.model.vocabulary.classes, TargetClass("green")])
    scene = stage.show(("red", 10, 10), ("green", 40, 10))
    assert lefts(scene) == {"kept 1": [10], "green": [40]}
    assert kept.track_id in [o.track_id for o in scene.objects]
    assert scene.vocabulary.names == ("red", "blue", "kept 1", "green")


def test_ids_above_254_are_painted_in_16_bits() -> None:
    stage = Stage(exemplars=False)
    stage.model.change_vocabulary([TargetClass("red"), TargetClass("far", id=500)])
    stage.model.change_vocabulary([TargetClass("red")])
    stage.show(("red", 10, 10))
    assert stage.newest.segmentation.label.dtype == np.uint8
    stage.keep("far")
    label = stage.show(("red", 10, 10)).segmentation.label
    assert label.dtype == np.uint16
    assert (label == 500).sum() == SIDE * SIDE


def test_a_hidden_object_does_not_take_the_detection_of_another_kept_one() -> None:
    stage = Stage()
    stage.show(("red", 10, 10), ("red", 26, 10))
    stage.show(("red", 10, 10), ("red", 26, 10))
    hidden = stage.keep()
    other = stage.keep("other", Mark(Box(28, 12, 1, 1)))
    stage.show(("red", 10, 10), ("red", 26, 10))
    for _ in range(30):
        scene = stage.show(("red", 26, 10))
        assert lefts(scene)["other"] == [26]
    scene = stage.show(("red", 12, 10), ("red", 26, 10))
    ids = {o.box.left: o.track_id for o in scene.objects}
    assert ids == {12: hidden.track_id, 26: other.track_id}


def test_the_number_is_bounded_and_no_object_or_name_is_kept_twice() -> None:
    stage = Stage()
    stage.show(("red", 10, 10), ("red", 60, 20))
    stage.show(("red", 10, 10), ("red", 60, 20))
    stage.keep()
    with pytest.raises(SelectionError, match="max_kept_objects is 1"):
        stage.keep("other", Mark(Box(62, 22, 1, 1)), limit=1)
    with pytest.raises(SelectionError, match="'kept 1' is kept already"):
        stage.keep("kept 1", Mark(Box(62, 22, 1, 1)))
    stage.show(("red", 10, 10), ("red", 60, 20))
    with pytest.raises(SelectionError, match="this object is kept already, as 'kept 1'"):
        stage.keep("other")
    assert len(stage.model.kept) == 1


def test_images_before_the_newest_are_held_on_request_alone() -> None:
    stage, recent, held = Stage(), RecentScenes(), RecentScenes()
    for _ in range(20):
        scene = stage.show(("red", 10, 10))
        recent.add(scene)
        held.add(scene, hold_images=True)
    assert len(recent.frames_from(0)) == 1
    assert len(held.frames_from(0)) == 20
    assert held.frames_from(scene.frame.stamp_ns)[0].image is scene.frame.image
    held.add(scene)
    assert len(held.frames_from(0)) == 1


def test_held_images_are_bounded_in_bytes() -> None:
    recent = RecentScenes()
    image = np.zeros((1500, 2000, 3), np.uint8)
    vocabulary = Vocabulary()
    for step in range(20):
        frame = Frame("front", image, round((100 + step * 0.1) * 1e9))
        scene = Scene(frame, Segmentation.empty((1500, 2000)), vocabulary)
        recent.add(scene, hold_images=True)
    assert len(recent.frames_from(0)) == 64_000_000 // image.nbytes
    assert isinstance(recent.at(round(100e9)), SceneObjects)


def test_memory_stays_flat_over_ten_thousand_frames() -> None:
    stage = Stage()
    stage.show(("red", 10, 10), ("blue", 60, 20))
    stage.keep()
    stage.keep("kept 2", Mark(Box(62, 22, 1, 1)))
    encoded = stage.model.encoded
    assert encoded is not None and stage.model.segmenter is not None
    shown = [image_of(("red", 10 + left, 10), ("blue", 60, 20)) for left in range(8)]
    shown += [image_of(("blue", 60, 20))]
    segmentations = [
        stage.model.segmenter.segment(Batch((image,), np.full(4, 0.5, np.float32)), encoded)[0]
        for image in shown
    ]
    objects: dict[int, int] = {}
    memory: dict[int, int] = {}
    for step in range(10_000):
        number = 8 if step % 50 < 5 else abs(step // 5 % 14 - 7)
        stamp_ns = stage.newest.frame.stamp_ns + 30_000_000
        frame = Frame("front", shown[number].copy(), stamp_ns, requested=OBJECTS)
        scene = Scene(frame, segmentations[number], encoded.of_results)
        stage.newest = stage.pipeline.completed(scene, stage.settings)
        if step in (2_000, 9_999):
            gc.collect()
            objects[step] = len(gc.get_objects())
            memory[step] = allocated_bytes()
    assert lefts(stage.newest).keys() == {"kept 1", "kept 2"}
    assert objects[9_999] - objects[2_000] < 1_000
    assert memory[9_999] - memory[2_000] < 4_000_000  # a mask of every image would be 37 MB


class MallocInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated_bytes() -> int:
    """What is allocated, as pixels are; resident memory also depends on the tests before, whose pieces are reused."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallocInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


def test_nothing_is_left_of_a_hundred_objects_that_were_kept_and_forgotten_under_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = _of_keeping()  # of other tests' modules
    monkeypatch.setattr(live_model, "_WARM_UP_SIZE", (HEIGHT, WIDTH))
    stage = Stage(exemplars=False)
    stage.show(("red", 10, 10))
    stop = threading.Event()

    def load() -> None:  # another camera of the same node
        frame = Frame("rear", image_of(("red", 10, 10)), 0, requested=OBJECTS)
        while not stop.is_set():
            frame = replace(frame, stamp_ns=frame.stamp_ns + 10**8)
            model = stage.model
            assert model.segmenter is not None and model.encoded is not None
            stage.pipeline.process([frame], model.segmenter, model.encoded, stage.settings)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(100):
            stage.show(("red", 10, 10))
            stage.keep()
            assert lefts(stage.show(("red", 11, 10))) == {"kept 1": [11]}
            stage.forget()
            stage.show(("red", 10, 10))
    finally:
        stop.set()
        thread.join()
    assert stage.model.vocabulary.version == 201
    assert stage.model.vocabulary.ids_given.keys() == {"red", "blue", "kept 1"}
    gc.collect()
    assert not _of_keeping() - others


def _of_keeping() -> set[int]:
    """Return the ids of the objects that keeping makes, in the whole process."""
    kinds = KeptObject, Exemplar, Propagator  # isinstance would ask the classes of foreign objects
    return {id(o) for o in gc.get_objects() if type(o) in kinds}
