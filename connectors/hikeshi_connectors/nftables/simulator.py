"""A Linux firewall over an estate. A stand-in for `nft` is the command; whatever it is asked is answered here."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.nftables.simulated_sets import Refusal, SimulatedSets

__all__ = ["NftablesSimulator"]

_STAND_IN = str(Path(__file__).with_name("simulated_nft.py"))


class NftablesSimulator(Simulator):
    """The firewall at the edge of the network, with the table and the sets of the README."""

    product = "nftables"
    instance_name = "edge"

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Any = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.sets = SimulatedSets(estate)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        # -I and -S: the stand-in needs nothing that is installed, and starts three times as fast.
        command = [sys.executable, "-I", "-S", _STAND_IN, f"{base_url}/{cls.product}"]
        return {"product": cls.product, "command": command}

    def shows(self) -> dict[str, Any]:
        return {"blocked": self.sets.names()}

    def reset(self) -> None:
        self.sets.forget()

    def routes(self) -> list[BaseRoute]:
        return [Route("/command", self._command, methods=["POST"])]

    def is_change(self, request: Request, body: bytes) -> bool:  # noqa: ARG002
        return False  # transactions are recorded below, in the form in which a plan shows them

    async def _command(self, request: Request) -> Response:
        asked = await request.json()
        self.sets.settle()
        code, told, said = self.answer(asked["command"], asked["arguments"], asked["stdin"])
        return JSONResponse({"code": code, "stdout": told, "stderr": said})

    def answer(self, command: list[str], arguments: list[str], given: str) -> tuple[int, str, str]:
        """Return what nft ends with, and what it writes to its two outputs."""
        if arguments[:3] == ["-j", "list", "set"] and len(arguments) == 6:
            try:
                return 0, json.dumps(self.sets.listed(*arguments[3:])), ""
            except Refusal as refusal:
                return 1, "", f"Error: {refusal}\n{' '.join(arguments[1:])}"
        if arguments != ["-j", "-f", "-"]:
            return 1, "", "Error: syntax error, unexpected string"
        return self._transaction(shlex.join(command), given)

    def _transaction(self, command: str, given: str) -> tuple[int, str, str]:
        try:
            transaction = json.loads(given)
        except ValueError:
            return 0, "", ""  # what is no JSON is read as a ruleset without a rule: nft ends with 0
        refusal = self._carried_out(transaction)
        self.record_change("NFT", command, transaction, applied=refusal is None)
        return (0, "", "") if refusal is None else (1, "", f"internal:0:0-0: Error: {refusal}\n")

    def _carried_out(self, transaction: Any) -> str | None:
        commands = transaction.get("nftables") if isinstance(transaction, dict) else None
        if not isinstance(commands, list):
            return 'Value of property "nftables" must be an array.'
        try:
            self.sets.transaction(commands)
        except Refusal as refusal:
            return str(refusal)
        return None
