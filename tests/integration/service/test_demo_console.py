"""The demo's last chapter: the console over the simulated company, with two people who can sign in."""

import re
import signal
import subprocess
import sys

import httpx
from desk import wait_until


def test_whoever_tries_the_demo_can_sign_in_run_and_approve() -> None:
    """With nothing but what it prints: an address, two tokens and the name of a playbook."""
    command = [sys.executable, "-m", "hikeshi.cli", "demo", "--console", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        url = next(found[1] for line in process.stderr if (found := re.search(r"Serving at (\S+)", line)))
        mei, ken = (
            httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=20)
            for token in re.findall(r"hik_\S+", said)
        )
        with mei, ken:
            assert "isolate-if-agreed" in said
            assert (mei.get("/me").json()["name"], ken.get("/me").json()["name"]) == ("Mei Kobayashi", "Ken Sato")
            names = mei.get("/holds").json()["items"]
            assert names, "the demo has contained a host"
            begun = mei.post("/playbooks/isolate-if-agreed/run", json={"inputs": {"hostname": "fs-tyo-01"}}).json()
            asked = wait_until(
                lambda: next((q for q in ken.get("/waiting").json()["questions"] if q["run"] == begun["run"]), None)
            )
            decision = {"path": asked["path"], "digest": asked["digest"]}
            assert ken.post(f"/runs/{begun['run']}/approve", json=decision).status_code == 200
            wait_until(lambda: mei.get(f"/runs/{begun['run']}").json()["status"] == "succeeded")
        assert httpx.get(f"{url}/login").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.communicate()
