"""`~/segment`: one image, one answer."""

from __future__ import annotations

from zs_seg_ros.live_model import LiveModel
from zs_seg_ros.masks import find_objects
from zs_seg_ros.pipeline import Settings
from zs_seg_ros.ros.conversions import classes_from_messages, picture_from_image
from zs_seg_ros.ros.scene_messages import confidence_message, label_message, objects_message
from zs_seg_ros.srv import SegmentImage
from zs_seg_ros.types import size_of


def answer(
    request: SegmentImage.Request,
    response: SegmentImage.Response,
    model: LiveModel,
    settings: Settings,
) -> None:
    """Fill in `response`.

    Raises ImageError, VocabularyError or ModelError for a request that cannot be answered, or whatever the model
    raises.
    """
    picture = picture_from_image(request.image)
    classes = classes_from_messages(request.classes)
    found, vocabulary = model.segment_once(picture, classes, settings.default_threshold)
    objects = find_objects(found, settings.min_area, settings.max_objects)
    header = request.image.header
    response.label = label_message(found.label, header)
    response.confidence = confidence_message(found.confidence, header)
    response.result = objects_message(objects, size_of(picture), vocabulary, header)
    response.success = True
