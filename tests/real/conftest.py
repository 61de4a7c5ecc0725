"""Tests against real servers and kernels: what they need is in packages.txt, and without it they are skipped."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "acceptance")]  # tests are no package
