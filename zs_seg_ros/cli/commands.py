# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Run the commands of `zs-seg` with parsed arguments. The imports of a command wait until it runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zs_seg_ros.errors import VocabularyError, ZeroShotSegmentationError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from zs_seg_ros.cli.evaluate import TruthSource

DONE, FAILED = 0, 2
_MEASURED_CLASSES, _COMPARED_CLASSES = (1, 2, 4, 8, 16, 32), (8,)
"""How many classes `bench` has by default: of one model, and of several input sizes or precisions."""


def segment(arguments: argparse.Namespace) -> int:
    """Segment images by words, examples or marks, and return the exit code."""
    from zs_seg_ros.cli.examples import with_examples
    from zs_seg_ros.cli.marks import mask_prompts
    from zs_seg_ros.cli.segment import SegmentRequest, segment_images
    from zs_seg_ros.cli.segment_marked import MarkedRequest, segment_marked_images

    by_words = bool(arguments.classes or arguments.example)
    if by_words + bool(arguments.marks) + arguments.everything != 1:
        raise ZeroShotSegmentationError(
            "name what to segment in one way: --classes and --example, --point and --box, or --everything"
        )
    images, options = tuple(arguments.images), _options(arguments)
    if not by_words:
        return segment_marked_images(
            MarkedRequest(
                images=images,
                prompts=mask_prompts(arguments.marks),
                model=arguments.model,
                options=options,
                overlay=arguments.output,
                label=arguments.label,
                as_json=arguments.json,
                most_pixels=arguments.max_image_pixels,
            )
        )
    return segment_images(
        SegmentRequest(
            images=images,
            classes=with_examples(arguments.classes, arguments.example),
            model=arguments.model,
            options=options,
            threshold=arguments.threshold,
            overlay=arguments.output,
            label=arguments.label,
            as_json=arguments.json,
            most_pixels=arguments.max_image_pixels,
        )
    )


def label(arguments: argparse.Namespace) -> int:
    """Label bags, and return the exit code."""
    from zs_seg_ros.cli.label import label_bags
    from zs_seg_ros.labelling.plan import LabelRequest
    from zs_seg_ros.labelling.ray_run import RayCluster
    from zs_seg_ros.perception.pipeline import Settings

    request = LabelRequest(
        bags=tuple(arguments.bags),
        out=Path(os.path.abspath(arguments.out)),  # "." has a name then
        vocabulary=_vocabulary(arguments),
        model=arguments.model,
        options=_options(arguments),
        settings=Settings(
            arguments.threshold,
            arguments.min_area,
            arguments.max_objects,
            track=not arguments.no_track,
        ),
        cameras=(*arguments.cameras, *arguments.camera),
        depth=arguments.depth,
        output_format=arguments.format,
        batch=arguments.batch,
        frames_per_slice=arguments.slice,
    )
    with_ray = arguments.ray or arguments.ray_address
    return label_bags(request, RayCluster(arguments.ray_address) if with_ray else None)


def _options(arguments: argparse.Namespace) -> LoadOptions:
    size, mask_size = arguments.input_size
    return LoadOptions(
        arguments.device,
        arguments.precision,
        arguments.revision,
        inference_size=size,
        mask_inference_size=mask_size,
        engine=arguments.engine,
        providers=arguments.providers,
        export_folder=arguments.export_folder,
    )


def _vocabulary(arguments: argparse.Namespace) -> Vocabulary:
    if arguments.vocabulary is None:
        return Vocabulary().changed_to(arguments.classes)
    from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file

    try:
        return read_vocabulary_file(arguments.vocabulary)
    except FileNotFoundError as error:
        raise VocabularyError(f"there is no vocabulary file {arguments.vocabulary}") from error


def _given_vocabulary(arguments: argparse.Namespace) -> Vocabulary | None:
    """Return the vocabulary of the command line; None where it names none."""
    given = arguments.classes is not None or arguments.vocabulary is not None
    return _vocabulary(arguments) if given else None


def _truth(arguments: argparse.Namespace) -> TruthSource:
    from zs_seg_ros.cli.evaluate import TruthSource

    return TruthSource(arguments.truth, arguments.images, arguments.camera, arguments.label_topic)


def bench(arguments: argparse.Namespace) -> int:
    """Measure a model, and return the exit code."""
    from zs_seg_ros.cli.bench import BenchRequest, measure_model, measure_random_model

    precisions = tuple(arguments.precision.split(","))
    engines = tuple(arguments.engine.split(","))
    compared = len(arguments.input_size) * len(engines) * len(precisions) > 1
    default = _COMPARED_CLASSES if compared else _MEASURED_CLASSES
    request = BenchRequest(
        model=arguments.model,
        options=LoadOptions(
            arguments.device,
            revision=arguments.revision,
            compile=arguments.compile,
            providers=arguments.providers,
            export_folder=arguments.export_folder,
        ),
        counts=tuple(sorted(set(arguments.classes or default))),
        size=arguments.size,
        repeats=arguments.repeats,
        threshold=arguments.threshold,
        with_reference=not arguments.no_reference,
        json=arguments.json,
        plot=arguments.plot,
        input_sizes=arguments.input_size,
        precisions=precisions,
        engines=engines,
    )
    return measure_random_model(request) if arguments.random else measure_model(request)


def find(arguments: argparse.Namespace) -> int:
    """Find objects in a labelled recording, and return the exit code."""
    from zs_seg_ros.cli.find import find as find_objects

    return find_objects(arguments.recording, arguments.words, arguments.page, arguments.camera)


def evaluate(arguments: argparse.Namespace) -> int:
    """Compare models with ground truth, or check a vocabulary without any, and return the exit code."""
    if arguments.vocabulary_check:
        from zs_seg_ros.cli.vocabulary_check import CheckRequest, check

        return check(
            CheckRequest(
                images=arguments.truth,
                camera=arguments.camera,
                vocabulary=_given_vocabulary(arguments),
                model=arguments.model,
                options=_options(arguments),
                threshold=arguments.threshold,
                limit=arguments.limit,
                json=arguments.json,
            )
        )
    from zs_seg_ros.cli.evaluate import EvaluateRequest, evaluate_models

    return evaluate_models(
        EvaluateRequest(
            truth=_truth(arguments),
            vocabulary=_given_vocabulary(arguments),
            models=(arguments.model, *arguments.against),
            options=_options(arguments),
            threshold=arguments.threshold,
            limit=arguments.limit,
            json=arguments.json,
            page=arguments.page,
            worst=arguments.worst,
        )
    )


def tune(arguments: argparse.Namespace) -> int:
    """Choose thresholds and prompts on labelled frames, and return the exit code."""
    from zs_seg_ros.cli.tune import TuneRequest, tune_vocabulary

    return tune_vocabulary(
        TuneRequest(
            truth=_truth(arguments),
            vocabulary=_given_vocabulary(arguments),
            model=arguments.model,
            options=_options(arguments),
            threshold=arguments.threshold,
            output=arguments.output,
        )
    )


def export(arguments: argparse.Namespace) -> int:
    """Export a model as ONNX files, print them, and return the exit code."""
    from zs_seg_ros.cli.export import ExportRequest, export_to_onnx

    size, mask_size = arguments.input_size
    options = LoadOptions(
        revision=arguments.revision,
        inference_size=size,
        mask_inference_size=mask_size,
        export_folder=arguments.output,
    )
    return export_to_onnx(
        ExportRequest(
            arguments.model,
            options,
            int8=arguments.int8,
            calibrate=arguments.calibrate,
            images=arguments.images,
            vocabulary=_given_vocabulary(arguments),
            threshold=arguments.threshold,
        )
    )


def fetch(arguments: argparse.Namespace) -> int:
    """Download a model, or both of a pair, print their folders, and return the exit code."""
    from zs_seg_ros.segmenters.registry import parts_of
    from zs_seg_ros.segmenters.shared.checkpoint import BUILT_IN_MODELS
    from zs_seg_ros.segmenters.shared.fetching import check_download

    if arguments.model in (*BUILT_IN_MODELS, "fake"):
        print(f"zs-seg: {arguments.model} is built in; there is nothing to fetch", file=sys.stderr)
        return FAILED
    parts = parts_of(arguments.model, arguments.revision)
    # Both of a pair are checked before the first is downloaded.
    downloads = [check_download(model, revision) for model, revision in parts]
    for download in downloads:
        print(download.run())
    return DONE


def convert(arguments: argparse.Namespace) -> int:
    """Convert a folder's pickled weights to safetensors, print the new files, and return the exit code."""
    from zs_seg_ros.segmenters.shared.conversion import convert_weights

    for path in convert_weights(arguments.folder):
        print(path)
    return DONE


def doctor(arguments: argparse.Namespace) -> int:
    """Check the machine, print the checks, and return the exit code."""
    from zs_seg_ros.cli.doctor import print_examination

    return print_examination(arguments.model, arguments.revision, arguments.json)
