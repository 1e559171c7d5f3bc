# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Model families, and the registry that loads them."""

import os

# With gcc's OpenMP, a thread with which torch shared an operation waits in a loop for some 7 ms before it sleeps, on a
# core that the prompts of the image, and the other programs of a robot, could use. Its pauses between two operations
# are far shorter. This must be set before torch is imported; who has chosen how threads wait is not overruled.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
