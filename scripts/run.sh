#!/usr/bin/env bash
# Runs a command in the environment with the built package: scripts/run.sh COMMAND [ARGUMENT ...]
# Works from any folder. Choose the wheels with ROS=jazzy (default) or ROS=kilted; a ROS 2 that is
# already sourced has precedence.
set -eu

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The same choice as in scripts/workspace/choice.py.
name=${ROS:-jazzy}
if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then
  case ${ZS_SEG_WORKSPACE:-none} in
    none | *-sourced) name=$ROS_DISTRO-sourced ;;
  esac
fi

setup=$root/.work/$name/setup.sh
if [ ! -f "$setup" ]; then
  echo "The workspace $name has not been made yet: run \`make workspace\` first." >&2
  exit 1
fi
if [ $# -eq 0 ]; then
  echo "usage: scripts/run.sh COMMAND [ARGUMENT ...]" >&2
  exit 2
fi
# shellcheck source=/dev/null
. "$setup"
exec "$@"
