# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""~/keep and ~/forget: objects that are followed under classes of their own, with exemplars in the vocabulary."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.errors import (
    ImageError,
    NoMaskPromptsError,
    SelectionError,
    VocabularyError,
    ZeroShotSegmentationError,
)
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.perception.kept_object import KeptObject, new_kept_object
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_object import (
    Mark,
    has_detection,
    marked_object,
    mask_of_region,
)
from zs_seg_ros.perception.target import IMAGE_RELEASED, SceneObjects
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.parameters.node_parameters import ParameterError, Parameters, read_parameters
from zs_seg_ros.ros.qos import SERVICE
from zs_seg_ros.ros.recent_results import RecentResults
from zs_seg_ros.ros.scene_messages import object_message
from zs_seg_ros.ros.target_selection import region_of
from zs_seg_ros.segmenters.mask_prompts import MaskPrompter
from zs_seg_ros.shown import described, quoted, traced
from zs_seg_ros.srv import ForgetObject, KeepObject
from zs_seg_ros.types import DetectedObject, Frame
from zs_seg_ros.vocabulary.text import normalised
from zs_seg_ros.vocabulary.vocabulary import TargetClass


class KeepService:
    """The services `~/keep` and `~/forget`, in one callback group: one request at a time.

    changed: called after each change of the vocabulary, to publish and save it. The scenes of a camera with kept
    objects have objects, whether or not there are subscribers to them.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: LiveModel,
        recent: RecentResults,
        changed: Callable[[Parameters], object],
    ) -> None:
        self._node = node
        self._model = model
        self._recent = recent
        self._changed = changed
        group = MutuallyExclusiveCallbackGroup()
        for service_type, name, callback in (
            (KeepObject, "~/keep", self._on_keep),
            (ForgetObject, "~/forget", self._on_forget),
        ):
            node.create_service(
                service_type, name, callback, qos_profile=SERVICE, callback_group=group
            )

    def requested(self, camera: str) -> RequestedOutputs | None:
        """Return the stages that kept objects need of a camera; None without any in its images."""
        return RequestedOutputs(objects=True) if self._model.kept.in_camera(camera) else None

    # --- ~/keep ---

    def _on_keep(
        self, request: KeepObject.Request, response: KeepObject.Response
    ) -> KeepObject.Response:
        try:
            kept, class_id, version = self._keep(request, read_parameters(self._node))
            response.class_id, response.class_name = class_id, kept.name
            response.track_id, response.vocabulary_version = kept.track_id, version
            detected = replace(kept.detected, class_id=class_id, track_id=kept.track_id)
            response.object = object_message(detected, kept.name)
            response.success = True
        except Exception as error:  # the caller always gets a response
            response = KeepObject.Response(message=self._reason(error))
        outcome = f"refused: {response.message}" if response.message else response.class_name
        self._node.get_logger().info(f"keep {outcome}")
        return response

    def _keep(
        self, request: KeepObject.Request, parameters: Parameters
    ) -> tuple[KeptObject, int, int]:
        """Return the new kept object in the image of the request, its class id and the version with it."""
        camera = self._recent.camera_of(request.camera)
        self._recent.hold_images()
        mark = Mark(region_of(request.roi), self._mask_of(request, parameters))
        name = self._free_name(request.class_name)
        stamp_ns = request.stamp.sec * 10**9 + request.stamp.nanosec
        mark, stamp_ns = self._with_mask(camera, mark, stamp_ns, parameters.vocabulary_timeout_s)

        def kept_in(scene: SceneObjects) -> KeptObject:
            newest = self._recent.newest(camera)
            return new_kept_object(camera, name, *_marked_with_image(scene, newest, mark))

        kept = self._model.kept
        with self._recent.changed:
            new = self._recent.first_that_fits(camera, stamp_ns, kept_in)
        new = self._with_memory(new, parameters)
        frames = self._recent.frames_from(camera, new.stamp_ns)
        kept.begin(new, frames, parameters.max_kept_objects)
        target = TargetClass(name, exemplars=(new.exemplar,))
        try:
            self._model.edit_vocabulary(
                lambda classes: (*_without_name(classes, name), target),
                parameters.limits,
                parameters.vocabulary_timeout_s,
            )
        except VocabularyError as error:
            kept.end(name)
            if new.origin:
                raise
            raise VocabularyError(
                f"no object is detected there whose class could be followed, and {error}"
            ) from error
        except BaseException:
            kept.end(name)
            raise
        kept.confirm(name)
        vocabulary = self._model.vocabulary
        if name not in vocabulary.names:
            kept.end(name)
            raise SelectionError(
                f"another vocabulary without {quoted(name)} was set meanwhile: keep it again"
            )
        self._changed(parameters)
        return new, vocabulary.ids[vocabulary.names.index(name)], vocabulary.version

    def _with_mask(
        self, camera: str, mark: Mark, stamp_ns: int, timeout_s: float
    ) -> tuple[Mark, int]:
        """Return a mark where nothing is detected with the mask that a mask model gives for it, and its image's stamp.

        Any other mark, and each one without such a model, is returned as it is. The model runs without the lock, so
        that results go on.
        """
        if not isinstance(self._model.segmenter, MaskPrompter):
            return mark, stamp_ns
        with self._recent.changed:
            scene = self._recent.first_that_fits(camera, stamp_ns, lambda scene: scene)
        frame, region = scene.frame, mark.region
        if frame is None or region is None or has_detection(scene, mark):
            return mark, scene.stamp_ns
        try:
            mask = self._model.segment_without_words(
                lambda prompter: mask_of_region(prompter, frame, region), timeout_s
            )
        except NoMaskPromptsError:
            return mark, stamp_ns
        return (mark if mask is None else Mark(mask=mask)), scene.stamp_ns

    def _with_memory(self, new: KeptObject, parameters: Parameters) -> KeptObject:
        """Return an object with the model's video memory of it, where the model has one and the object can be kept."""
        if len(self._model.kept) >= parameters.max_kept_objects:
            return new  # refused, without a run of the model
        return replace(
            new, memory=self._model.remember(new.exemplar, parameters.vocabulary_timeout_s)
        )

    def _free_name(self, given: str) -> str:
        """Return the name of the new class. Raises SelectionError when another class has it."""
        name = normalised(given)
        taken = {*self._model.vocabulary.names}
        if not name:
            return next(n for i in itertools.count(1) if (n := f"kept {i}") not in taken)
        if name in taken:
            raise SelectionError(
                f"the vocabulary has a class {quoted(name)} already: give another class_name, or none"
            )
        return name

    def _mask_of(self, request: KeepObject.Request, parameters: Parameters) -> Any:
        """Return the mask (H, W) of a request; None without one. Raises SelectionError for one of another encoding."""
        mask = request.mask
        if not (mask.height or mask.width or len(mask.data)):
            return None
        if mask.encoding != "mono8":
            raise SelectionError(f"the encoding of mask is {quoted(mask.encoding)}: give mono8")
        try:
            return image_from_message(mask, parameters.image_limits)[..., 0] != 0
        except ImageError as error:
            raise SelectionError(f"mask cannot be used: {error}") from error

    # --- ~/forget ---

    def _on_forget(
        self, request: ForgetObject.Request, response: ForgetObject.Response
    ) -> ForgetObject.Response:
        try:
            parameters = read_parameters(self._node)
            names = self._names_to_forget(request)
            self._model.edit_vocabulary(
                lambda classes: [target for target in classes if target.name not in names],
                parameters.limits,
                parameters.vocabulary_timeout_s,
            )
            self._changed(parameters)
            response.success, response.count = True, len(names)
        except Exception as error:  # the caller always gets a response
            response = ForgetObject.Response(message=self._reason(error))
        response.vocabulary_version = self._model.vocabulary.version
        outcome = f"refused: {response.message}" if response.message else f"{response.count}"
        self._node.get_logger().info(f"forget {outcome}")
        return response

    def _names_to_forget(self, request: ForgetObject.Request) -> set[str]:
        """Return the classes of the objects that a request names. Raises SelectionError when there are none."""
        kept = self._model.kept.all
        if not kept:
            raise SelectionError("no object is kept: keep one with ~/keep first")
        name, track_id = normalised(request.class_name), request.track_id
        names = {
            each.name for each in kept if name in ("", each.name) and track_id in (0, each.track_id)
        }
        if not names:
            what = [f"the class {quoted(name)}"] * bool(name) + [f"the track id {track_id}"] * bool(
                track_id
            )
            raise SelectionError(
                f"no object with {' and '.join(what)} is kept: "
                f"there are {', '.join(quoted(each.name) for each in kept)}"
            )
        return names

    def _reason(self, error: Exception) -> str:
        if isinstance(error, ZeroShotSegmentationError | ParameterError):
            return str(error)
        self._node.get_logger().error(traced(error))
        return f"the model fails on this object: {described(error)}"


def _marked_with_image(
    scene: SceneObjects, newest: SceneObjects, mark: Mark
) -> tuple[DetectedObject, Frame]:
    """Return the marked object with its image or, where that is not held any more, as the newest image shows it.

    Raises SelectionError when neither can be had.
    """
    marked = marked_object(scene, mark)
    if scene.frame is not None:
        return marked, scene.frame
    for detected in newest.objects:
        if newest.frame is not None and 0 < detected.track_id == marked.track_id:
            return detected, newest.frame
    raise SelectionError(
        f"the image with the stamp {scene.stamp_ns * 1e-9:.9f} {IMAGE_RELEASED}: older images than the newest are "
        "held for a minute after each call of ~/keep; mark the object once more, in a newer image"
    )


def _without_name(classes: tuple[TargetClass, ...], name: str) -> tuple[TargetClass, ...]:
    """Return the classes of a vocabulary. Raises VocabularyError when one of them has the name of a new one."""
    if name in (target.name for target in classes):
        raise VocabularyError(
            f"a class {quoted(name)} was set meanwhile: give another class_name, or none"
        )
    return classes
