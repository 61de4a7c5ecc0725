"""Trying a configured connector: its credentials, and each read that it supports. Nothing can be changed by it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi
    from hikeshi.capabilities import ActionSpec, Parameter

__all__ = ["Probe", "probes_of"]

_TIMEOUT_S: Final = 30.0
_NOBODY: Final = "hikeshi-test"  # nothing is called so: a search for it is answered with nothing
# Documentation addresses and names: nobody has them. Sources: RFC 5737, RFC 3849, RFC 2606.
_SAMPLES: Final = {
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "cidr": "192.0.2.0/24",
    "domain": "hikeshi-test.invalid",
    "url": "https://hikeshi-test.invalid/",
    "sha256": "0" * 64,
    "sha1": "0" * 40,
    "md5": "0" * 32,
    "email": "nobody@hikeshi-test.invalid",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """How one read went: `ok`, the kind of the error, or `not tried` with the reason."""

    action: str
    status: str
    message: str = ""
    took_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def probes_of(app: Hikeshi, name: str) -> list[Probe]:
    """Return how each read of a connector went, one after the other.

    Raises ProjectError for a connector that the project does not have, or that cannot be built.
    """
    from hikeshi.capabilities import Effect
    from hikeshi.connector.registry import ConnectorNotUsable
    from hikeshi.project import ProjectError

    if name not in app.config.connectors:
        known = ", ".join(app.config.connectors) or "none"
        raise ProjectError([f"the connector {name!r} is not in hikeshi.yaml (there: {known})"])
    try:
        app.instances.get(name)
    except ConnectorNotUsable as exc:
        raise ProjectError([str(exc)]) from None
    supported = app.catalogue.instances[name].supported
    specs = [app.catalogue.specs[action] for action in supported]
    return [await _probe(app, name, spec, supported[spec.name]) for spec in specs if spec.effect is Effect.READ]


async def _probe(app: Hikeshi, name: str, spec: ActionSpec, kinds: frozenset[str] | None) -> Probe:
    from hikeshi.connector.errors import ConnectorError, NotFound
    from hikeshi.runtime.reads import read_one
    from hikeshi.secrets import SecretUnavailable

    connector = app.instances.get(name)
    given = connector.probes.get(spec.verb, {})
    if given is None:
        return Probe(spec.name, "not tried", "only a playbook knows harmless arguments")
    arguments = {**_arguments(spec, kinds), **given}
    missing = [each.name for each in spec.parameters if each.required and each.name not in arguments]
    if missing:
        return Probe(spec.name, "not tried", f"it needs {', '.join(missing)}")
    begun = time.monotonic()
    try:
        await read_one(spec, spec.verb, arguments, connector, "plan", _TIMEOUT_S)
    except NotFound:
        pass  # it looked, and there is no such thing
    except (ConnectorError, SecretUnavailable) as exc:
        kind = getattr(exc, "kind", "no secret")
        return Probe(spec.name, kind, app.redactor.text(str(exc)), time.monotonic() - begun)
    return Probe(spec.name, "ok", "", time.monotonic() - begun)


def _arguments(spec: ActionSpec, kinds: frozenset[str] | None) -> dict[str, Any]:
    found = {each.name: _sample(each, kinds) for each in spec.parameters if each.required}
    return {name: value for name, value in found.items() if value is not None}


def _sample(parameter: Parameter, kinds: frozenset[str] | None) -> Any:
    """Return a harmless argument, or None if there is none."""
    from hikeshi.capabilities import Indicator

    inner = get_args(parameter.annotation)[0] if get_origin(parameter.annotation) is list else parameter.annotation
    if inner is Indicator:
        kind = next(kind for kind in _SAMPLES if kinds is None or kind in kinds)
        if parameter.name in ("domains", "hashes"):
            kind = {"domains": "domain", "hashes": "sha256"}[parameter.name]
        indicator = Indicator.model_validate({"kind": kind, "value": _SAMPLES[kind]})
        return [indicator] if parameter.is_list else indicator
    if parameter.annotation is not str:
        return None
    return {"address": _SAMPLES["ipv4"], "sha256": _SAMPLES["sha256"], "domain": _SAMPLES["domain"], "query": None}.get(
        parameter.name, _NOBODY
    )
