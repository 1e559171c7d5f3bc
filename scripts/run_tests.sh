#!/usr/bin/env bash
# All tests against the installed package: scripts/run.sh scripts/run_tests.sh [PYTEST ARGUMENT ...]
# From the repository's root the source folder would hide the generated zs_seg_ros.msg, so nothing
# here puts it on the path: pytest itself, not `python -m pytest`, and --import-mode=importlib.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A DDS domain of this run's own, on this machine only: never that of a robot, or of another run.
export ROS_DOMAIN_ID=$((1 + $$ % 100))
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
if [ "$ROS_DISTRO" = humble ]; then
  export ROS_LOCALHOST_ONLY=1
fi

# A sourced ROS 2 brings plugins (launch_testing, launch_pytest) that fail with this pytest.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

pytest -p _hypothesis_pytestplugin "$@"
echo "The ROS tests once more, with message fields checked:"
ROS_PYTHON_CHECK_FIELDS=1 pytest -p _hypothesis_pytestplugin tests/ros "$@"
