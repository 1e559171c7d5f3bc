"""Start segmentation_node on a robot.

ros2 launch zs_seg_ros segmentation.launch.py cameras:="[front, rear]" classes:="[red mug, duck]"
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription

CONFIG = Path(get_package_share_directory("zs_seg_ros")) / "config"

# name, type and description of each parameter that has an argument of its own
OVERRIDES = (
    ("model", str, "Built-in name, folder or Hugging Face id"),
    ("device", str, "auto, cpu, cuda or cuda:N"),
    ("cameras", list[str], "Names of the cameras, for example [front, rear]"),
    ("classes", list[str], "Names to look for from the start, for example [red mug, duck]"),
    ("vocabulary_file", str, "YAML file that is read at the start and written after each change"),
    ("autostart", bool, "false leaves configure and activate to a lifecycle manager"),
    ("use_sim_time", bool, "Follow /clock, for simulations and recordings"),
)


def start_node(context: LaunchContext) -> list[Node]:
    """The node, with the parameter file and, above it, the arguments that were given."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind, _ in OVERRIDES
        if LaunchConfiguration(name).perform(context)
    }
    node = Node(
        package="zs_seg_ros",
        executable="segmentation_node",
        name="zs_seg",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), given],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            "params_file",
            default_value=str(CONFIG / "segmentation.yaml"),
            description="YAML file with the node's parameters",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
    ]
    arguments += [
        DeclareLaunchArgument(
            name, default_value="", description=f"{description}; empty: as in params_file"
        )
        for name, _, description in OVERRIDES
    ]
    profile = str(CONFIG / "fastdds_large_images.xml")
    large_images = [
        SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
        SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),  # Kilted and later
    ]
    return LaunchDescription([*arguments, *large_images, OpaqueFunction(function=start_node)])
