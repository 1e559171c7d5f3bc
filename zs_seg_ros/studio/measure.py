# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The process that evaluates and tunes for the studio: `python -m zs_seg_ros.studio.measure`.

It reads one request as a line of JSON from stdin, and writes lines of JSON to stdout: progress, and at last the result
or the reason of a refusal. It ends with the studio: stdin stays open until then.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.evaluation.coco_truth import CocoTruth
from zs_seg_ros.evaluation.evaluate import ModelUnderTest, evaluate
from zs_seg_ros.evaluation.report import as_values
from zs_seg_ros.evaluation.truth import Truth, TruthFrame
from zs_seg_ros.evaluation.tune_on_frames import TuneTask, tune_on_frames
from zs_seg_ros.evaluation.tune_runs import Progress
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.shown import shown
from zs_seg_ros.studio.measure_request import MeasureRequest
from zs_seg_ros.vocabulary.vocabulary import Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import parse_vocabulary

_ENDED = 130
_POLITE = 10
"""How much the processor prefers others: the node may run beside it."""
_OF_CLASS = ("name", "iou", "precision", "recall", "boundary_iou", "pixels")
Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer one request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the studio's, which ends this process
    with contextlib.suppress(OSError):
        os.nice(_POLITE)
    request = MeasureRequest.parsed(sys.stdin.readline())
    threading.Thread(target=_end_with_studio, daemon=True).start()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library may print

        def send(message: dict[str, Any]) -> None:
            output.write(json.dumps(message) + "\n")
            output.flush()

        try:
            send({"result": {"evaluate": _evaluate, "tune": _tune}[request.kind](request, send)})
        except ZeroShotSegmentationError as error:
            send({"refused": str(error)})


def _end_with_studio() -> None:
    while sys.stdin.readline():
        pass
    os._exit(_ENDED)


def _opened(request: MeasureRequest) -> tuple[Truth, Vocabulary, LoadOptions]:
    annotations = Path(request.annotations)
    truth = CocoTruth(annotations, Path(request.images))
    vocabulary = parse_vocabulary(request.vocabulary, "the draft")
    return truth, Vocabulary().changed_to(vocabulary.classes or truth.classes), request.options


def _counted(
    frames: Iterable[TruthFrame], total: int, text: str, send: Send
) -> Iterator[TruthFrame]:
    for done, frame in enumerate(frames):
        send({"done": done, "total": total, "text": text})
        yield frame


def _evaluate(request: MeasureRequest, send: Send) -> dict[str, Any]:
    truth, vocabulary, options = _opened(request)
    send({"done": 0, "total": 0, "text": f"loading {shown(request.model, 80)}"})
    loaded = load_model(request.model, options, vocabulary)
    model = ModelUnderTest(loaded, request.threshold, truth)
    [evaluation] = evaluate(
        truth, [model], progress=lambda frames: _counted(frames, len(truth), "images", send)
    )
    values = as_values(evaluation)
    classes = [{key: entry[key] for key in _OF_CLASS} for entry in values["classes"]]
    kept = ("model", "device", "images", "mean_iou", "findings")
    return {**{key: values[key] for key in kept}, "classes": classes}


def _tune(request: MeasureRequest, send: Send) -> dict[str, Any]:
    truth, vocabulary, options = _opened(request)
    path = Path(request.annotations)
    cache = path.with_name("tune.partial")
    task = TuneTask(truth, path, vocabulary, request.threshold, cache)

    def progress_of(runs: int) -> Progress:
        def counted(frames: Iterable[TruthFrame]) -> Iterable[TruthFrame]:
            text = "images" if runs == 1 else f"images, each with {runs} vocabularies"
            return _counted(frames, len(truth), text, send)

        return counted

    send({"done": 0, "total": 0, "text": f"loading {shown(request.model, 80)}"})
    tuning = tune_on_frames(task, lambda: load_segmenter(request.model, options), progress_of)
    before, after = tuning.mean_iou
    classes = [
        {
            "name": tuned.name,
            "before": _share(tuned.iou_before),
            "after": _share(tuned.iou_after),
            "problem": tuned.problem,
            "threshold": tuned.choice.threshold,
            "prompts": list(prompts),
        }
        for tuned, prompts in zip(tuning.classes, tuning.prompts, strict=True)
    ]
    proposed = [
        {"text": p.text, "gain": p.gain, "names": list(p.names), "negative": p.negative}
        for p in tuning.proposals
    ]
    return {
        "before": _share(before),
        "after": _share(after),
        "classes": classes,
        "proposals": proposed,
    }


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


if __name__ == "__main__":
    main()
