"""The modules of the simulation are found from its tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same world
