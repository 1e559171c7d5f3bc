# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Play a recording into segmentation_node, which follows the recorded time.

ros2 launch zs_seg_ros replay.launch.py recording:=/data/kitchen params_file:=robot.yaml classes:="[red mug, duck]"

The recording starts when the node is active. The node stays until ctrl-C.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription
from zs_seg_ros.launch_arguments import is_true

SHARE = Path(get_package_share_directory("zs_seg_ros"))

PLAYER = (
    ("recording", str(SHARE / "recordings" / "tabletop"), "Folder that `ros2 bag record` made"),
    ("rate", "1.0", "Recorded seconds per second"),
    ("clock", "40.0", "Rate in Hz at which /clock publishes the recorded time; none: never"),
)
NODE = (
    ("params_file", str(SHARE / "config" / "demo.yaml"), "YAML file with the node's parameters"),
    ("cameras", "", "Names of the recorded cameras, for example [front]: /front/image_raw"),
    ("classes", "", "Names of the classes at the start, for example [red mug, duck]"),
    ("model", "", "Built-in name, folder or Hugging Face id that is on the disk"),
    ("use_sim_time", "true", "true follows /clock; false where clock is none"),
    ("rviz", "false", "true starts RViz (needs rviz2)"),
)


def check_loop(context: LaunchContext) -> list[Action]:
    """Raise RuntimeError for a wrong `loop`; before the node, which would stay behind if it had been started."""
    is_looped(context)
    return []


def is_looped(context: LaunchContext) -> bool:
    """Return whether the recording starts again at its end. Raises RuntimeError for neither true nor false."""
    return is_true("loop", str(LaunchConfiguration("loop").perform(context)))


def start_player(context: LaunchContext) -> list[Node]:
    """Return the player; `ros2 run zs_seg_ros bag_player --help` explains its arguments."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    arguments = [value("recording"), "--rate", value("rate"), "--wait-for-subscribers"]
    if is_looped(context):
        arguments.append("--loop")
    if value("clock") not in ("", "none"):
        arguments += ["--clock", value("clock")]
    player = Node(
        package="zs_seg_ros",
        executable="bag_player",
        arguments=arguments,
        output="screen",
        on_exit=end_after_failure,
    )
    return [player]


def end_after_failure(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End the launch when the player fails: no frame would ever come. At the end of a recording the node stays."""
    if event.returncode == 0 or context.is_shutdown:
        return []
    return [Shutdown(reason=f"bag_player ended with exit code {event.returncode}")]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in PLAYER
    ]
    arguments.append(
        DeclareLaunchArgument(
            "loop",
            default_value="false",
            description="true starts the recording again at its end",
        )
    )
    arguments += [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=description if default else f"{description}; empty: as in params_file",
        )
        for name, default, description in NODE
    ]
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "segmentation.launch.py")),
        launch_arguments=[(name, LaunchConfiguration(name)) for name, _, _ in NODE],
    )
    check, player = OpaqueFunction(function=check_loop), OpaqueFunction(function=start_player)
    return LaunchDescription([*arguments, check, segmentation, player])
