# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""All parameters of segmentation_node; `model_table`, `camera_table` and `pace_table` have parts of them.

Declaration, validation, documentation and tests read this table alone. After a change: `make parameters` writes
docs/parameters.md and config/segmentation.yaml anew. Imports no ROS.
"""

from __future__ import annotations

from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS
from zs_seg_ros.perception.kept_objects import MOST_KEPT
from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD, Settings
from zs_seg_ros.ros.parameters.camera_table import EACH_CAMERA
from zs_seg_ros.ros.parameters.frames_table import FRAMES
from zs_seg_ros.ros.parameters.model_table import MODEL
from zs_seg_ros.ros.parameters.pace_table import PACE
from zs_seg_ros.ros.parameters.spec import CAMERA_PREFIX, Changeable, ParameterGroup, ParameterSpec
from zs_seg_ros.vocabulary.vocabulary import DEFAULT_LIMITS, MAX_SIDE_PX

_CAMERAS = ParameterGroup(
    "Cameras",
    (
        ParameterSpec(
            "cameras",
            ("camera",),
            "Names of the cameras, for example [front, rear].",
            "For a camera CAM the node subscribes to /CAM/image_raw and publishes ~/CAM/label and others. Cameras can "
            "be added and removed while the node runs.",
        ),
    ),
)
_VOCABULARY = ParameterGroup(
    "Vocabulary",
    (
        ParameterSpec(
            "classes",
            ("",),
            "Names of the classes to segment from the start, for example [red mug, duck].",
            "Each name is its own prompt; [''] is no class. The service ~/set_vocabulary replaces them at run time. A "
            "vocabulary_file that exists takes precedence.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "initial_vocabulary",
            "",
            "Vocabulary from the start, with prompts and thresholds: YAML text, not a path.",
            "It has the form of a vocabulary_file and is never written. It is used when classes names none and there "
            "is no vocabulary_file yet. Empty: none.",
            Changeable.UNCONFIGURED,
        ),
        ParameterSpec(
            "vocabulary_file",
            "",
            "YAML file with the vocabulary, read at the start and written after each change.",
            "With it, the vocabulary survives a restart. Empty: none.",
            Changeable.UNCONFIGURED,
        ),
    ),
)
_RESULTS = ParameterGroup(
    "Results",
    (
        ParameterSpec(
            "default_threshold",
            DEFAULT_THRESHOLD,
            "Confidence threshold of the classes without one of their own.",
            "Pixels with a lower confidence stay unlabelled (0).",
            range=(0.0, 1.0),
        ),
        ParameterSpec(
            "min_area",
            Settings.min_area,
            "Minimum area of an object, in pixels of the input image.",
            "Smaller objects are left out; their pixels stay in the label image.",
            range=(1, 1_000_000),
            unit="pixels",
        ),
        ParameterSpec(
            "max_objects",
            Settings.max_objects,
            "Maximum number of objects per image.",
            "Of more objects, those with the highest confidence are kept.",
            range=(1, 1000),
        ),
        ParameterSpec(
            "track",
            Settings.track,
            "Track objects from frame to frame and give each a track_id.",
            "With false every track_id is 0.",
        ),
        ParameterSpec(
            "output_scale",
            Settings.output_scale,
            "Size of label images and point clouds in units of the camera's.",
            "With 0.3125, images of 1280x720 have ~/CAM/label, confidence, instances and mask of 400x225, and "
            "~/CAM/points as many points. Objects and overlays keep the camera's size.",
            range=(0.001, 1.0),
        ),
    ),
)
_LIMITS = ParameterGroup(
    "Limits",
    (
        ParameterSpec(
            "model_timeout",
            60.0,
            "Seconds after which an inference that does not return is abandoned.",
            "Its frames are dropped, and the failure is reported on /diagnostics. With 0 there is no limit.",
            range=(0.0, 86_400.0),
            unit="s",
        ),
        ParameterSpec(
            "vocabulary_timeout",
            60.0,
            "Seconds after which the preparation of a new vocabulary is abandoned.",
            "The vocabulary is refused and the last one stays in force; frames are processed meanwhile. Calls of "
            "~/segment with points, boxes or everything have the same limit. With 0 there is no limit.",
            range=(0.0, 86_400.0),
            unit="s",
        ),
        ParameterSpec(
            "max_classes",
            DEFAULT_LIMITS.classes,
            "Maximum number of classes in a vocabulary.",
            "A vocabulary with more classes is refused.",
            range=(1, 65_000),
        ),
        ParameterSpec(
            "max_prompts",
            DEFAULT_LIMITS.prompts,
            "Maximum number of prompts per class, and of negatives.",
            "A vocabulary with a class that has more is refused.",
            range=(1, 1000),
        ),
        ParameterSpec(
            "max_total_prompts",
            DEFAULT_LIMITS.total_prompts,
            "Maximum number of prompts, negatives and example images of all classes together.",
            "A vocabulary with more is refused. Each takes time in every frame.",
            range=(1, 65_000),
        ),
        ParameterSpec(
            "max_prompt_length",
            DEFAULT_LIMITS.characters,
            "Maximum length of a class name or prompt, in characters.",
            "A vocabulary with a longer name or prompt is refused.",
            range=(1, 10_000),
            unit="characters",
        ),
        ParameterSpec(
            "max_kept_objects",
            8,
            "Maximum number of objects that ~/keep follows at a time.",
            "One more is refused. With 0 none is kept.",
            range=(0, MOST_KEPT),
        ),
        ParameterSpec(
            "max_image_side",
            DEFAULT_IMAGE_LIMITS.side,
            "Maximum width and height of an input image, in pixels.",
            "A larger image is dropped and reported on /diagnostics.",
            range=(1, MAX_SIDE_PX),
            unit="pixels",
        ),
        ParameterSpec(
            "max_image_pixels",
            DEFAULT_IMAGE_LIMITS.pixels,
            "Maximum width times height of an input image, in pixels.",
            "A larger image is dropped before it is decoded and reported on /diagnostics.",
            range=(1, MAX_SIDE_PX * MAX_SIDE_PX),
            unit="pixels",
        ),
    ),
)
_LIFECYCLE = ParameterGroup(
    "Lifecycle",
    (
        ParameterSpec(
            "autostart",
            True,
            "Configure and activate the node at its start.",
            "With false a lifecycle manager does both.",
            Changeable.BEFORE_START,
        ),
    ),
)

PARAMETER_GROUPS = (
    MODEL,
    _CAMERAS,
    EACH_CAMERA,
    _VOCABULARY,
    _RESULTS,
    FRAMES,
    PACE,
    _LIMITS,
    _LIFECYCLE,
)
"""All groups, in the order of the documentation."""

NODE_PARAMETERS = {
    spec.name: spec
    for group in PARAMETER_GROUPS
    for spec in group.parameters
    if not spec.per_camera
}
"""The parameters that the node has once, by name."""

CAMERA_PARAMETERS = {spec.name.removeprefix(CAMERA_PREFIX): spec for spec in EACH_CAMERA.parameters}
"""The parameters that each camera has, by the part of the name after the camera's."""


def find_spec(name: str) -> ParameterSpec | None:
    """The description of a parameter, also of `front.depth`; None for a parameter that is not in the table."""
    if name in NODE_PARAMETERS:
        return NODE_PARAMETERS[name]
    camera, _, suffix = name.rpartition(".")
    spec = CAMERA_PARAMETERS.get(suffix) if camera else None
    return spec.for_camera(camera) if spec is not None else None
