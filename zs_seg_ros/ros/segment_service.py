"""`~/segment`: segments one image and answers with its results."""

from __future__ import annotations

from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.ros.conversions import classes_from_messages
from zs_seg_ros.ros.parameters.node_parameters import Parameters
from zs_seg_ros.ros.scene_messages import confidence_message, label_message, objects_message
from zs_seg_ros.srv import SegmentImage
from zs_seg_ros.types import size_of


def answer(
    request: SegmentImage.Request,
    response: SegmentImage.Response,
    model: LiveModel,
    parameters: Parameters,
) -> None:
    """Segment the image of the request and fill in the response.

    Raises ImageError, VocabularyError or ModelError for a request that cannot be answered, or whatever the model
    raises.
    """
    settings, limits = parameters.settings, parameters.image_limits
    image = image_from_message(request.image, limits)
    classes = classes_from_messages(request.classes, limits)
    segmentation, vocabulary = model.segment_once(
        image,
        classes,
        settings.default_threshold,
        parameters.limits,
        parameters.vocabulary_timeout_s,
    )
    objects = extract_objects(segmentation, settings.min_area, settings.max_objects)
    header = request.image.header
    response.label = label_message(segmentation.label, header)
    response.confidence = confidence_message(segmentation.confidence, header)
    response.result = objects_message(objects, size_of(image), vocabulary, header)
    response.success = True
