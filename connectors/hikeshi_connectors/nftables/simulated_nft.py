"""A stand-in for `nft`, run by its path: it lets the simulator answer, and speaks and ends as `nft` over ssh does.

    python -I -S simulated_nft.py http://127.0.0.1:8710/nftables -j list set inet hikeshi blocked4

Only what every Python has: it is started for each command, and takes a few hundredths of a second.
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

OF_SSH = 255
# What an ordered fault with an HTTP status becomes.
WORDS = {
    401: (OF_SSH, "hikeshi@firewall: Permission denied (publickey)."),
    403: (1, "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed"),
    404: (1, "internal:0:0-0: Error: No such file or directory\n"),
    409: (1, "internal:0:0-0: Error: Could not process rule: File exists\n"),
}


def main() -> int:
    """Return what this ends with; what the command answers goes to the standard output and error."""
    url, *arguments = sys.argv[1:]
    parts = urlsplit(url)
    given = sys.stdin.read() if "-" in arguments else ""
    asked = json.dumps({"command": sys.orig_argv, "arguments": arguments, "stdin": given})
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        connection.connect()
    except OSError as exc:
        return ended(OF_SSH, said=f"ssh: connect to host {parts.hostname} port {parts.port}: {exc.strerror}")
    try:
        connection.request("POST", f"{parts.path}/command", asked, {"content-type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status in WORDS:
            code, said = WORDS[response.status]
            return ended(code, said=said)
        answer = json.loads(body)
        return ended(answer["code"], told=answer["stdout"], said=answer["stderr"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ended(OF_SSH, said=f"Read from remote host {parts.hostname}: Connection timed out")


def ended(code: int, *, told: str = "", said: str = "") -> int:
    """Write to both outputs, and return the code."""
    sys.stdout.write(told)
    sys.stderr.write(f"{said}\n" if said else "")
    return code


if __name__ == "__main__":
    sys.exit(main())
