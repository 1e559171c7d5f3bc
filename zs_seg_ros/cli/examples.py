# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Example images of classes, read from the files that the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.cli.example_files import ExampleFiles
from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.images.image_files import read_image, read_label_image
from zs_seg_ros.perception.overlay import as_bytes
from zs_seg_ros.shown import shown
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass


def with_examples(
    classes: Sequence[TargetClass], examples: Sequence[ExampleFiles]
) -> tuple[TargetClass, ...]:
    """Add examples to the classes of their names, or as classes of their own behind the others, which have no words.

    The name of a class without prompts stays its prompt beside the examples. Raises what `read_example` raises.
    """
    targets = {target.name: target for target in classes}
    if len(targets) < len(classes):
        return tuple(classes)  # the vocabulary refuses it, and names the class
    for files in examples:
        target = targets.get(files.name)
        if target is None:
            target = TargetClass(files.name)
        elif not target.exemplars:
            target = replace(target, prompts=target.effective_prompts)
        targets[files.name] = replace(target, exemplars=(*target.exemplars, read_example(files)))
    return tuple(targets.values())


def read_example(files: ExampleFiles) -> Exemplar:
    """Read an example image and its mask, non-zero on the object.

    Raises ImageError for a file that cannot be read, and VocabularyError for an image or mask that no exemplar can
    have.
    """
    image = as_bytes(read_image(files.image))
    mask = None if files.mask is None else _read_mask(files.mask)
    try:
        return Exemplar(image, mask)
    except VocabularyError as error:
        raise VocabularyError(f"the example {shown(files.image, 300)}: {error}") from error


def _read_mask(path: Path) -> NDArray[np.bool_]:
    values = read_label_image(path)
    return values.any(axis=2) if values.ndim == 3 else values > 0
