# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label`: labels bags without a running node, and without ROS.

plan.py           bag → its cameras, and slices of a few hundred frames
frames.py         slice → frames, with depth
slice_results.py  frames → results in a part bag, written completely or not at all
results.py        part bags → results in order, with track ids
bag_output.py     bag and results → a copy of the bag with the results added
coco_output.py    bag and results → images, label images and COCO JSON
messages.py       ROS messages built without ROS
work_folder.py    the folder OUT.partial, which keeps part bags until everything is finished
run.py            the whole job, in this process; ray_run.py: slices on a Ray cluster
"""
