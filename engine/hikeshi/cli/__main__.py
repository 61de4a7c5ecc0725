"""`python -m hikeshi.cli` is the same as `hikeshi`."""

from hikeshi.cli import main

raise SystemExit(main())
