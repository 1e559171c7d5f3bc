# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Zero-shot segmentation for ROS 2: detect and segment objects in images by the names of their classes.

The names below are the core, which needs no ROS; importing them imports neither rclpy nor torch. Loading a model
imports torch. Inference on one image, (H, W, 3) uint8 RGB:

    segmenter = load_segmenter("tabletop")
    vocabulary = Vocabulary().changed_to([TargetClass("red mug"), TargetClass("duck")])
    batch = Batch((image,), vocabulary.thresholds(default=0.5))
    [segmentation] = segmenter.segment(batch, segmenter.encode(vocabulary))

In a ROS workspace the generated messages and services are `zs_seg_ros.msg` and `zs_seg_ros.srv`.
"""

from zs_seg_ros.errors import (
    DeviceError,
    ImageError,
    ModelError,
    ModelNotFoundError,
    VocabularyError,
    ZeroShotSegmentationError,
)
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Batch, Frame, RgbImage, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

__version__ = "0.2.0"

__all__ = [
    "Batch",
    "DeviceError",
    "EncodedVocabulary",
    "Exemplar",
    "Frame",
    "FrameSlots",
    "ImageError",
    "LoadOptions",
    "ModelError",
    "ModelNotFoundError",
    "RgbImage",
    "Scene",
    "Segmentation",
    "Segmenter",
    "TargetClass",
    "Vocabulary",
    "VocabularyError",
    "ZeroShotSegmentationError",
    "__version__",
    "load_segmenter",
]
