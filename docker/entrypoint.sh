#!/usr/bin/env bash
# Runs a command with ROS 2 and the package.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /opt/zs_seg_ros/setup.bash
exec "$@"
