#!/usr/bin/env bash
# Tests against the installed package: scripts/run.sh scripts/run_tests.sh [--fast | PYTEST ARGUMENT ...]
# Without arguments: all, in WORKERS processes (2). --fast: those that start no node and load no large model.
# From the repository's root the source folder would hide the generated zs_seg_ros.msg, so nothing
# here puts it on the path: pytest itself, not `python -m pytest`, and --import-mode=importlib.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A sourced ROS 2 brings plugins (launch_testing, launch_pytest) that fail with this pytest.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
pytest=(pytest -p _hypothesis_pytestplugin)
# A file's tests share nodes and recordings, so a file is not divided. tests/conftest.py gives each process a DDS domain.
parallel=("${pytest[@]}" -p xdist.plugin -n "${WORKERS:-2}" --dist loadfile)

if [ "${1:-}" = --fast ]; then
  shift
  exec "${parallel[@]}" tests/bags tests/cli tests/core tests/images tests/perception tests/vocabulary "$@"
fi

# With field checks a message's setter refuses a value of the wrong type; without, as robots run, the value is found
# wrong when it is published, or never. So the checks find more: tests/ros runs with them, and what runs twice are the
# tests in which the difference could show, of messages that are made and of input that is refused.
if [ $# -gt 0 ]; then
  ROS_PYTHON_CHECK_FIELDS=1 exec "${pytest[@]}" "$@"
fi
failed=0
ROS_PYTHON_CHECK_FIELDS=1 "${parallel[@]}" tests/ros || failed=1
echo "The other tests, and some of tests/ros once more without field checks:"
others=()
for folder in tests/*/; do
  case $folder in tests/ros/ | */__pycache__/) ;; *) others+=("$folder") ;; esac
done
"${parallel[@]}" "${others[@]}" tests/ros/test_bad_input.py tests/ros/test_conversions.py tests/ros/test_node.py \
  tests/ros/test_objects.py tests/ros/test_segment_service.py || failed=1
exit $failed
