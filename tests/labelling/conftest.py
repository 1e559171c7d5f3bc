"""Test modules are imported one by one, without a package around them: their tools are beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
