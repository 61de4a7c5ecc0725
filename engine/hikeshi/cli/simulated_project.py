"""A project whose connectors point at the simulators. Secrets are references there too, as in every project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

__all__ = ["SimulatedProject", "described"]

_SECRET = re.compile(r"secret|token|key|password")


@dataclass(frozen=True, slots=True)
class SimulatedProject:
    """The text of a hikeshi.yaml, and the environment variables that its references name."""

    text: str
    environment: dict[str, str]


def described(settings: Mapping[str, Mapping[str, Any]]) -> SimulatedProject:
    """Return the project for these settings of connectors, with every credential taken out into the environment."""
    from ruamel.yaml import YAML

    environment: dict[str, str] = {}
    connectors: dict[str, dict[str, Any]] = {}
    for name, given in settings.items():
        connectors[name] = dict(given)
        for key, value in given.items():
            if isinstance(value, str) and _SECRET.search(key):
                variable = re.sub(r"\W", "_", f"SIMULATED_{name}_{key}").upper()
                environment[variable] = value
                connectors[name][key] = f"${{env:{variable}}}"
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump({"connectors": connectors}, text)
    return SimulatedProject(text.getvalue(), environment)
