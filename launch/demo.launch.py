"""The simulated camera and the node with the built-in demonstration model.

ros2 launch zs_seg_ros demo.launch.py
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = Path(get_package_share_directory("zs_seg_ros"))


def generate_launch_description() -> LaunchDescription:
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "segmentation.launch.py")),
        launch_arguments={"params_file": str(SHARE / "config" / "demo.yaml")}.items(),
    )
    camera = Node(package="zs_seg_ros", executable="tabletop_camera", output="screen")
    return LaunchDescription([segmentation, camera])
