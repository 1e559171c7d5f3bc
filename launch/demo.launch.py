# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Start the simulated camera and the node with the built-in demonstration model.

ros2 launch zs_seg_ros demo.launch.py rviz:=true
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = Path(get_package_share_directory("zs_seg_ros"))


def generate_launch_description() -> LaunchDescription:
    rviz = DeclareLaunchArgument(
        "rviz", default_value="false", description="true starts RViz (needs rviz2)"
    )
    studio = DeclareLaunchArgument(
        "studio",
        default_value="false",
        description="true serves the studio, a page for the browser, on http://127.0.0.1:8642",
    )
    params_file = DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "demo.yaml"),
        description="YAML file with the node's parameters",
    )
    # Its other arguments, classes for example, are passed on from the command line.
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "segmentation.launch.py")),
        launch_arguments={
            "params_file": LaunchConfiguration("params_file"),
            "rviz": LaunchConfiguration("rviz"),
            "studio": LaunchConfiguration("studio"),
        }.items(),
    )
    camera = Node(package="zs_seg_ros", executable="tabletop_camera", output="screen")
    return LaunchDescription([rviz, studio, params_file, segmentation, camera])
