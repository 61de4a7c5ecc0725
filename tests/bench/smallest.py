"""The smallest script that does the work of one step: the yardstick for how soon a command makes its first call."""

import sys

import httpx

httpx.post(sys.argv[1], json={"channel": "soc", "text": "hello"})
