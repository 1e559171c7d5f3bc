# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Start segmentation_node on a robot.

ros2 launch zs_seg_ros segmentation.launch.py cameras:="[front, rear]" classes:="[red mug, duck]"
"""

import difflib
import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, TextSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import Action, LaunchContext, LaunchDescription
from zs_seg_ros.launch_arguments import is_true
from zs_seg_ros.shown import quoted, shown

CONFIG = Path(get_package_share_directory("zs_seg_ros")) / "config"
DEFAULT_FILE = str(CONFIG / "segmentation.yaml")
PRESETS = sorted(file.stem for file in (CONFIG / "presets").glob("*.yaml"))

# name, type and description of each parameter that has an argument of its own; tests compare the
# descriptions with the node's
OVERRIDES = (
    (
        "model",
        str,
        "Segmentation model: tabletop (built in), a folder, a Hugging Face id or DETECTOR + MASK_MODEL",
    ),
    ("device", str, "Device for inference: auto, cpu, cuda or cuda:N"),
    ("cameras", list[str], "Names of the cameras, for example [front, rear]"),
    (
        "classes",
        list[str],
        "Names of the classes to segment from the start, for example [red mug, duck]",
    ),
    (
        "vocabulary_file",
        str,
        "YAML file with the vocabulary, read at the start and written after each change",
    ),
    ("autostart", bool, "Configure and activate the node at its start"),
    ("use_sim_time", bool, "true follows /clock, for simulations and recordings"),
)
# launch files that take the arguments of this one and no others
STARTED_ALONE = ("segmentation.launch.py", "demo.launch.py")
# parameters of a single camera
CAMERA_OVERRIDES = (
    ("image_topic", "Name of the image topic"),
    ("depth_topic", "Name of the topic of depth images"),
    ("info_topic", "Name of the topic of the colour camera's camera_info"),
)
ARGUMENTS = (
    DeclareLaunchArgument(
        "params_file",
        default_value=DEFAULT_FILE,
        description="YAML file with the node's parameters",
    ),
    DeclareLaunchArgument(
        "preset",
        default_value="",
        choices=["", *PRESETS],
        description="Model, thresholds and vocabulary for a kind of robot; overrides params_file. A "
        "file of config/presets: read the cautions in it; empty: none",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node, for example robot1: /robot1/zs_seg. The topics of the "
        "cameras stay /CAM/image_raw; empty: none",
    ),
    DeclareLaunchArgument(
        "remap",
        default_value="",
        description="Other names for topics and services, for example /zs_seg/camera/label:=/labels; several with "
        "commas. Inputs have parameters: image_topic and the others; empty: none",
    ),
    DeclareLaunchArgument(
        "fastdds_profile",
        default_value=str(CONFIG / "fastdds_large_images.xml"),
        description="XML profile for Fast DDS with buffers for images; none: do not set the "
        "environment variables. Other middlewares ignore it",
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", description="true starts RViz (needs rviz2)"
    ),
    DeclareLaunchArgument(
        "studio",
        default_value="false",
        description="true serves the studio, a page for the browser, on http://127.0.0.1:8642",
    ),
    DeclareLaunchArgument(
        "rviz_config",
        default_value=str(CONFIG / "zs_seg.rviz"),
        description="Configuration file of RViz; the default shows the camera named camera in the frame map",
    ),
    *(
        DeclareLaunchArgument(
            name, default_value="", description=f"{description}; empty: as in the files"
        )
        for name, _, description in OVERRIDES
    ),
    *(
        DeclareLaunchArgument(
            name,
            default_value="",
            description=f"{description}, where there is one camera; empty: as in the files",
        )
        for name, description in CAMERA_OVERRIDES
    ),
)


def one_camera(cameras: str, params_file: str) -> str:
    """Return the name of the camera that the arguments of one camera are for."""
    names = names_of("cameras", cameras) if cameras else ["camera"]
    known = bool(cameras) or params_file in ("", DEFAULT_FILE)
    if not (known and len(names) == 1):
        topics = ", ".join(name for name, _ in CAMERA_OVERRIDES)
        raise RuntimeError(
            f'{topics} are for one camera: name it with cameras:="[NAME]", or set NAME.image_topic and the '
            "others for each camera in a parameter file"
        )
    return names[0]


def names_of(argument: str, text: str) -> list[str]:
    """Return the names of a list in YAML's form, or of one without brackets; no, 12 and the like are names, too.

    Raises RuntimeError for what is no list of names.
    """
    listed = text if text.lstrip().startswith("[") else f"[{text}]"
    try:
        names = yaml.load(listed, yaml.BaseLoader)  # every scalar is a text
    except yaml.YAMLError:
        names = None
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise RuntimeError(
            f"{argument} is {quoted(text, 300)}, which is no list of names: write [red mug, duck], and a name with a "
            "comma, a colon or a quotation mark in quotation marks"
        )
    return names


def check_profile(path: str) -> None:
    """Raise RuntimeError for a file that is no XML: Fast DDS would ignore it."""
    try:
        ElementTree.parse(path)
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise RuntimeError(
            f"fastdds_profile is {quoted(path, 300)}, which is no XML file: {shown(error, 300)}"
        ) from error


def without_effect(context: LaunchContext) -> list[Action]:
    """Return a warning for each given argument that this file lacks.

    Where another file includes this one, the others are that file's own: only those that resemble one of this file's.
    """
    own = [argument.name for argument in ARGUMENTS]
    alone = any(Path(word).name in STARTED_ALONE for word in sys.argv)
    warnings = []
    for given in context.launch_configurations:
        if given in own:
            continue
        meant = difflib.get_close_matches(given, own, 1, 0.8)
        if meant:
            text = f"the launch argument {quoted(given)} has no effect; {meant[0]} may be meant"
        else:
            text = (
                f"the launch argument {quoted(given)} has no effect; --show-args lists the arguments, and parameters "
                "of the node belong into params_file"
            )
        if meant or alone:
            warnings.append(LogInfo(msg=text))
    return warnings


def remappings_of(text: str) -> list[tuple[str, str]]:
    """Return pairs of names for FROM:=TO, several with commas. Raises RuntimeError for another form."""
    pairs = []
    for part in filter(None, (part.strip() for part in text.strip(" []").split(","))):
        old, separator, new = (word.strip() for word in part.partition(":="))
        if not (old and separator and new):
            raise RuntimeError(
                f"remap has {quoted(part, 200)}: write FROM:=TO, several with commas between them"
            )
        pairs.append((old, new))
    return pairs


def parameter_of(name: str, kind: type, text: str) -> ParameterValue | bool:
    """Return the value of a parameter. Raises RuntimeError for a text that is none of its type."""
    if kind is bool:
        return is_true(name, text)
    if kind == list[str]:
        names = json.dumps(names_of(name, text), ensure_ascii=False)
        return ParameterValue(TextSubstitution(text=names), value_type=kind)
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def studio_of(namespace: str) -> Node:
    """Return the studio of the node in a namespace."""
    name = "/".join(("", *filter(None, namespace.split("/")), "zs_seg"))
    return Node(
        package="zs_seg_ros", executable="studio", arguments=["--node", name], output="screen"
    )


def start(context: LaunchContext) -> list[Action]:
    """Return the node and, if requested, RViz. Arguments override the parameter files."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    profile = "" if value("fastdds_profile") == "none" else value("fastdds_profile")
    for name, file in (("params_file", value("params_file")), ("fastdds_profile", profile)):
        # Node and Fast DDS would start without it. Unlike pathlib's, os.path's function never raises.
        if file and not os.path.isfile(file):
            raise RuntimeError(f"{name} is {quoted(file, 300)}, and there is no such file")
    if profile:
        check_profile(profile)
    environment = []
    if profile:
        environment = [
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),  # Kilted and later
        ]
    files = [value("params_file")] if value("params_file") else []
    if preset := value("preset"):
        files.append(str(CONFIG / "presets" / f"{preset}.yaml"))
    given = {
        name: parameter_of(name, kind, value(name)) for name, kind, _ in OVERRIDES if value(name)
    }
    if topics := [name for name, _ in CAMERA_OVERRIDES if value(name)]:
        camera = one_camera(value("cameras"), value("params_file"))
        given |= {
            f"{camera}.{name}": ParameterValue(LaunchConfiguration(name), value_type=str)
            for name in topics
        }
        if "depth_topic" in topics:
            given[f"{camera}.depth"] = True
    node = Node(
        package="zs_seg_ros",
        executable="segmentation_node",
        name="zs_seg",
        namespace=LaunchConfiguration("namespace"),
        parameters=[*files, given],
        remappings=remappings_of(value("remap")),
        output="screen",
        emulate_tty=True,
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", LaunchConfiguration("rviz_config")],
    )
    viewers = [rviz] if is_true("rviz", value("rviz")) else []
    if is_true("studio", value("studio")):
        viewers.append(studio_of(value("namespace")))
    # without rviz2, the launch fails before the node starts
    return [*without_effect(context), *environment, *viewers, node]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
