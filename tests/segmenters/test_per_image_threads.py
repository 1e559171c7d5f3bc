"""Images of a batch, each on a core of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.per_image_threads import PerImageThreads
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def torch_threads(_: object = None) -> int:
    torch.ones(2).sum()
    return torch.get_num_threads()


@pytest.mark.usefixtures("three_threads")
def test_its_threads_compute_alone_and_others_as_before() -> None:
    both_here = threading.Barrier(2)

    def look(_: int) -> int:
        both_here.wait(10)
        return torch_threads()

    assert PerImageThreads(2).map(look, range(2)) == [1, 1]
    assert torch_threads() == 3
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch_threads()))
    later.start()
    later.join()
    assert found == [3]


@pytest.mark.parametrize(("items", "served"), [(0, 0), (1, 0), (2, 2), (3, 2), (5, 4)])
def test_all_threads_get_equally_many_of_the_items(items: int, served: int) -> None:
    assert PerImageThreads(2).map(str, range(items)) == [str(i) for i in range(served)]


def test_an_error_comes_out_when_nobody_is_at_work_any_more() -> None:
    done: list[int] = []

    def look(item: int) -> None:
        if item == 0:
            raise MemoryError("too large")
        threading.Event().wait(0.1)
        done.append(item)

    per_image_threads = PerImageThreads(2)
    with pytest.raises(MemoryError, match="too large"):
        per_image_threads.map(look, range(4))
    assert sorted(done) == [1, 2, 3]
    assert per_image_threads.map(str, range(2)) == ["0", "1"]


def test_nothing_waits_for_a_call_that_hangs() -> None:
    per_image_threads, started, go_on = PerImageThreads(2), threading.Event(), threading.Event()

    def hang(_: int) -> None:
        started.set()
        go_on.wait(20)

    hanging = threading.Thread(target=per_image_threads.map, args=(hang, range(2)))
    hanging.start()
    started.wait(20)
    assert per_image_threads.map(str, range(2)) == []
    go_on.set()
    hanging.join(20)
    assert per_image_threads.map(str, range(2)) == ["0", "1"]


@pytest.mark.usefixtures("three_threads")
def test_only_a_model_that_is_not_compiled_looks_at_images_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is compiled would be compiled once more for each of the threads."""
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)  # it is never called here
    assert load_segmenter("tabletop", LoadOptions("cpu"))._per_image_threads is not None  # type: ignore[attr-defined]
    compiled = load_segmenter("tabletop", LoadOptions("cpu", compile=True))
    assert compiled._per_image_threads is None  # type: ignore[attr-defined]


@pytest.mark.usefixtures("three_threads")
def test_a_batch_that_does_not_fill_the_cores_is_answered_whole_and_in_order() -> None:
    segmenter = load_segmenter("tabletop", LoadOptions("cpu"))
    encoded = segmenter.encode(Vocabulary().changed_to([TargetClass("red mug")]))
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (40 + i, 60, 3), np.uint8) for i in range(5))
    found = segmenter.segment(Batch(images, np.full(1, 0.5, np.float32)), encoded)
    assert [one.label.shape for one in found] == [image.shape[:2] for image in images]
