"""Zero-shot segmentation for ROS 2: find things in images by their names.

The names below are the core, which needs no ROS; importing them imports neither rclpy nor torch.
A model brings torch when it is loaded:

    segmenter = load_segmenter("tabletop")
    vocabulary = Vocabulary().changed_to([TargetClass("red mug"), TargetClass("duck")])
    batch = Batch((image,), vocabulary.thresholds(default=0.5))
    [found] = segmenter.segment(batch, segmenter.encode(vocabulary))

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

__version__ = "0.1.0"

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
