#!/usr/bin/env bash
# Runs a command with ROS 2 and the package.
set -e
# shellcheck source=/dev/null
source "/opt/ros/${ROS_DISTRO}/setup.bash"
# shellcheck source=/dev/null
source /opt/zs_seg_ros/setup.bash
exec "$@"
