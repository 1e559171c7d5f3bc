#!/usr/bin/env python3
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Make the environment and build the package: everything before `scripts/run.sh COMMAND`.

Any Python can read this file, so that an old one gets a sentence and not a traceback; the rest is in
`workspace/` and needs nothing but the standard library.
"""

import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "Python 3.10 to 3.13 is needed and this is Python %d.%d: "  # noqa: UP031
        "name another one, for example `make test PYTHON=python3.12`." % sys.version_info[:2]
    )

from workspace.main import main

main()
