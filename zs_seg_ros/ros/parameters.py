"""The node's parameters: declared with types, ranges and descriptions, read as one frozen value."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter

from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD, Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import MAX_SIDE_PX
from zs_seg_ros.vocabulary.vocabulary import DEFAULT_LIMITS, Limits

RELIABILITIES = ("auto", "reliable", "best_effort")
TRANSPORTS = ("raw", "compressed")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
_NODE = (
    ("model", "CIDAS/clipseg-rd64-refined", "What finds the classes: a built-in name (tabletop), a folder, a Hugging "
     "Face id that `zs-seg fetch` has brought onto the disk, or DETECTOR + MASK_MODEL. Never downloaded at run time."),
    ("revision", "", "Branch, tag or commit of the model's Hugging Face id; empty: the newest on the disk."),
    ("device", "auto", "Where the model runs: auto (a GPU when there is one), cpu, cuda or cuda:N. One that is not "
     "there fails configure."),
    ("precision", "auto", "The model's numbers: auto (fp32 on a CPU, 16 bits on a GPU), fp32, fp16 or bf16."),
    ("compile", False, "Compile the model with torch.compile: faster frames after a start that is slower by minutes."),
    ("cameras", ["camera"], "Names of the cameras. CAM is read from /CAM/image_raw and answered on ~/CAM/label and "
     "others. Cameras may come and go while the node runs."),
    ("classes", [""], "Names to look for from the start, each its own phrase; [''] for none. ~/set_vocabulary changes "
     "them at run time. A vocabulary_file that exists goes before."),
    ("initial_vocabulary", "", "What to look for from the start, with phrases and thresholds: YAML text, no path, in "
     "the form of a vocabulary_file. Only read, never written; used when classes names nothing and there is no "
     "vocabulary_file yet."),
    ("vocabulary_file", "", "Path of a YAML file that is read at the start and written after each change, so that the "
     "vocabulary survives a restart; empty: none."),
    ("track", True, "Give objects identities (track_id) that last from frame to frame; false: all are 0."),
    ("autostart", True, "Configure and activate by itself; false leaves both to a lifecycle manager."),
)  # fmt: skip
_UNTIL_CLEANUP = (
    "model",
    "revision",
    "device",
    "precision",
    "compile",
    "classes",
    "initial_vocabulary",
    "vocabulary_file",
)
"""What cannot change while a model is loaded. Everything else is taken up within a second."""
_WHOLE_NUMBERS = (
    ("min_area", Settings.min_area, (1, 1_000_000), "Objects of fewer pixels of the input image are left out; their "
     "pixels stay in the label image."),
    ("max_objects", Settings.max_objects, (1, 1000), "Of more objects in an image the most confident are kept."),
    ("max_classes", DEFAULT_LIMITS.classes, (1, 65_000), "A vocabulary with more classes is refused."),
    ("max_prompts", DEFAULT_LIMITS.prompts, (1, 1000), "A class with more prompts is refused."),
    ("max_prompt_length", DEFAULT_LIMITS.characters, (1, 10_000), "A name or prompt of more characters is refused."),
    ("max_image_side", MAX_SIDE_PX, (1, MAX_SIDE_PX), "An image with a side of more pixels is dropped and told of on "
     "/diagnostics."),
)  # fmt: skip
_NUMBERS = (
    ("default_threshold", DEFAULT_THRESHOLD, (0.0, 1.0), "Confidence threshold of the classes without one of their "
     "own. Pixels with a lower confidence stay unlabelled (0)."),
    ("model_timeout", 60.0, (0.0, 86_400.0), "Seconds until frames that the model does not finish are given up and "
     "told of on /diagnostics; 0: never."),
)  # fmt: skip
_CAMERA = (
    ("reliability", "auto", "QoS of the subscriptions: auto (what the publishers offer), reliable or best_effort."),
    ("transport", "raw", "raw: /CAM/image_raw. compressed: /CAM/image_raw/compressed, JPEG or PNG."),
    ("depth", False, "Read /CAM/depth/image_raw, registered to the colour image, and /CAM/camera_info, and publish "
     "positions in metres, ~/CAM/points and ~/CAM/markers."),
    ("depth_transport", "raw", "raw: /CAM/depth/image_raw. compressed: /CAM/depth/image_raw/compressedDepth."),
)  # fmt: skip


@dataclass(frozen=True)
class CameraParameters:
    """How one camera is listened to."""

    name: str
    reliability: str
    transport: str
    depth: bool
    depth_transport: str


@dataclass(frozen=True)
class Parameters:
    """All parameters at one moment."""

    model: str
    options: LoadOptions
    cameras: tuple[CameraParameters, ...]
    classes: tuple[str, ...]
    initial_vocabulary: str
    vocabulary_file: str
    model_timeout_s: float
    max_image_side: int
    limits: Limits
    settings: Settings


class ParameterError(ValueError):
    """A parameter's value is refused."""


def is_ours(name: str) -> bool:
    """Whether a parameter is declared here, and not by rclpy."""
    own = {known for known, *_ in (*_NODE, *_NUMBERS, *_WHOLE_NUMBERS)}
    camera_suffixes = tuple(f".{known}" for known, _, _ in _CAMERA)
    return name in own or name.endswith(camera_suffixes)


def needs_cleanup(name: str) -> bool:
    """Whether a parameter cannot change while a model is loaded."""
    return name in _UNTIL_CLEANUP


def declare_parameters(node: Node) -> None:
    """Declare everything; the cameras' own parameters follow from the list of cameras."""
    for name, default, description in _NODE:
        if not node.has_parameter(name):
            node.declare_parameter(name, default, _descriptor(name, default, description))
            _give_empty_list_its_type(node, name)
    for name, default_real, (low, high), description in _NUMBERS:
        if not node.has_parameter(name):
            descriptor = _descriptor(name, default_real, description)
            between = FloatingPointRange(from_value=low, to_value=high, step=0.0)
            descriptor.floating_point_range = [between]
            node.declare_parameter(name, default_real, descriptor)
    for name, default_number, (least, most), description in _WHOLE_NUMBERS:
        if not node.has_parameter(name):
            descriptor = _descriptor(name, default_number, description)
            descriptor.integer_range = [IntegerRange(from_value=least, to_value=most, step=1)]
            node.declare_parameter(name, default_number, descriptor)
    for camera in node.get_parameter("cameras").value:
        for suffix, default, description in _CAMERA:
            name = f"{camera}.{suffix}"
            if camera and not node.has_parameter(name):
                text = description.replace("CAM", camera)
                node.declare_parameter(name, default, _descriptor(name, default, text))


def _descriptor(name: str, default: Any, description: str) -> ParameterDescriptor:
    """What `ros2 param describe` shows: it knows neither the default nor when a value may change."""
    when = "only while the node is unconfigured" if needs_cleanup(name) else "at any time"
    if name == "autostart":
        when = "only before the start"
    return ParameterDescriptor(
        description=f"{description} Default: {json.dumps(default)}.",  # as people type it
        additional_constraints=f"Can change {when}.",
    )


def _give_empty_list_its_type(node: Node, name: str) -> None:
    """`classes: []` in a file is a list of nothing in particular, which rclpy takes for no value."""
    try:
        node.get_parameter(name)
    except ParameterUninitializedException:
        node.set_parameters([Parameter(name, Parameter.Type.STRING_ARRAY, [])])


def read_parameters(node: Node, changed: Sequence[Parameter] = ()) -> Parameters:
    """The node's parameters, with `changed` ones as if they were set. Raises ParameterError."""
    new = {parameter.name: parameter.value for parameter in changed}

    def value(name: str) -> Any:
        return new[name] if name in new else node.get_parameter(name).value

    def value_or(name: str, otherwise: Any) -> Any:
        """Parameters of a camera that is just being named are not declared yet."""
        return value(name) if name in new or node.has_parameter(name) else otherwise

    def one_of(name: str, allowed: tuple[str, ...], otherwise: str = "") -> str:
        chosen = str(value_or(name, otherwise))
        if chosen not in allowed:
            raise ParameterError(f"{name} is {chosen!r}; it must be one of {', '.join(allowed)}")
        return chosen

    cameras = tuple(
        CameraParameters(
            name,
            one_of(f"{name}.reliability", RELIABILITIES, "auto"),
            one_of(f"{name}.transport", TRANSPORTS, "raw"),
            bool(value_or(f"{name}.depth", False)),
            one_of(f"{name}.depth_transport", TRANSPORTS, "raw"),
        )
        for name in _camera_names(value("cameras"))
    )
    if not str(value("model")).strip():
        raise ParameterError("model is empty; give a built-in name, a folder or a Hugging Face id")
    threshold = float(value("default_threshold"))
    if not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise ParameterError(f"default_threshold is {threshold}; it must be 0 to 1")
    options = LoadOptions(
        device=str(value("device")),
        precision=one_of("precision", PRECISIONS),
        revision=str(value("revision")),
        compile=bool(value("compile")),
    )
    classes = tuple(name for name in value("classes") if name)
    limits = Limits(
        classes=int(value("max_classes")),
        prompts=int(value("max_prompts")),
        characters=int(value("max_prompt_length")),
    )
    return Parameters(
        str(value("model")).strip(),
        options,
        cameras,
        classes,
        str(value("initial_vocabulary")),
        str(value("vocabulary_file")),
        float(value("model_timeout")),
        int(value("max_image_side")),
        limits,
        Settings(
            threshold, int(value("min_area")), int(value("max_objects")), bool(value("track"))
        ),
    )


def _camera_names(names: Sequence[str]) -> tuple[str, ...]:
    if not names or any(not name for name in names):
        raise ParameterError(
            f"cameras is {list(names)}; name at least one camera, none of them empty"
        )
    if len(set(names)) != len(names):
        raise ParameterError(f"cameras is {list(names)}; a name occurs twice")
    for name in names:
        parts = name.split("/")
        if not all(p.isidentifier() and p.isascii() for p in parts):
            raise ParameterError(
                f"cameras has {name!r}, which is no topic name; use letters, digits, _ and / between parts"
            )
    return tuple(names)
