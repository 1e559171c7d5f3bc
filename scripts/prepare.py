#!/usr/bin/env python3
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
