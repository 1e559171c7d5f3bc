"""Lets the tests import `families`, which lies beside them, and gives torch one thread.

Networks as small as the tests' are many times slower with two, as soon as something else runs.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
