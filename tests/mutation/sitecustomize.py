"""Python imports this when it starts: a process that a test starts has the same defect as the test's own."""

import os

if "HIKESHI_MUTANT" in os.environ:
    from defective import install

    install()
