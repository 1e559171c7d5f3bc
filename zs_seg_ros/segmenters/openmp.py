# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Sets how long the threads of gcc's OpenMP, which torch computes with on a CPU, wait in a loop before they sleep.

By default that is some 7 ms, on a core that the prompts of an image, and the other programs of a robot, could use;
between two operations of a network it is far less. OpenMP reads the number once, when torch is imported. Who has chosen
how threads wait is not overruled.
"""

import os

_ROUNDS = "10000"
"""Some 0.2 ms. By default it is 300,000: https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html"""

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)
