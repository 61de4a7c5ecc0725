"""What the AWS connectors send, and what the simulator answers, is what AWS's own service models describe.

The models are data that botocore carries. Every request is taken apart by the model of its operation and validated, and
no answer may hold a field that the model does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import httpx
import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Connector, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.pool import ConnectionStack
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_iam.simulator import AwsIamSimulator
from hikeshi_connectors.aws_logs import AwsLogs
from hikeshi_connectors.aws_logs.simulator import AwsLogsSimulator
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.simulated_state import NETWORK_ACL
from hikeshi_connectors.aws_network.simulator import AwsNetworkSimulator

ROLE = "arn:aws:iam::123456789012:role/hikeshi"
BOTH = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="ipv6", value="2001:db8::9")]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, and the operation that they belong to."""

    operation: OperationModel
    request: httpx.Request
    answer: bytes

    def __str__(self) -> str:
        return f"{self.operation.service_model.service_name}:{self.operation.name}"


class _Whole(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class Witness(httpx.AsyncBaseTransport):
    """A transport that keeps every exchange with a service that went well."""

    def __init__(self) -> None:
        self.seen: list[Exchange] = []
        self._stack = ConnectionStack()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._stack.handle_async_request(request)
        content = await answer.aread()
        await answer.aclose()
        if answer.status_code == 200:
            self.seen.append(Exchange(_operation(request), request, content))
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Whole(content))

    async def aclose(self) -> None:
        await self._stack.aclose()


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _operation(request: httpx.Request) -> OperationModel:
    """Return the operation that AWS would take a request for."""
    _, _, service, path = request.url.path.split("/", 3)
    model = _model(service)
    if "x-amz-target" in request.headers:
        prefix, _, name = request.headers["x-amz-target"].rpartition(".")
        assert prefix == model.metadata["targetPrefix"]
        return model.operation_model(name)
    if model.metadata["protocol"] == "rest-json":
        return next(each for each in _by_path(model) if _fits(each, request.method, f"/{path}"))
    form = dict(parse_qsl(request.content.decode()))
    assert form["Version"] == model.api_version
    return model.operation_model(form["Action"])


def _by_path(model: ServiceModel) -> Iterator[OperationModel]:
    return (model.operation_model(name) for name in model.operation_names)


def _fits(operation: OperationModel, method: str, path: str) -> bool:
    pattern = re.sub(r"\{[^}]+\}", "[^/]+", operation.http["requestUri"].partition("?")[0])
    return operation.http["method"] == method and re.fullmatch(pattern, path) is not None


def _name(shape: Any, member: str, *, in_a_form_of_ec2: bool = False) -> str:
    """Return how a member is called on the wire."""
    given = shape.members[member].serialization
    if in_a_form_of_ec2:
        name = given.get("queryName") or given.get("name") or member
        return str(given.get("queryName") or name[:1].upper() + name[1:])
    return str(given.get("name", member))


def _parameters(shape: Any, sent: Any, *, ec2: bool = False) -> Any:
    """Return what was sent by the model's own names; what it does not know keeps its name, and is refused later."""
    if shape.type_name == "structure":
        names = {_name(shape, member, in_a_form_of_ec2=ec2): member for member in shape.members}
        return {
            names.get(key, key): _parameters(shape.members[names[key]], value, ec2=ec2) if key in names else value
            for key, value in sent.items()
        }
    if shape.type_name == "list":
        items = sent if isinstance(sent, list) else [sent[key] for key in sorted(sent, key=int)]
        return [_parameters(shape.member, each, ec2=ec2) for each in items]
    if shape.type_name == "map":
        return {key: _parameters(shape.value, value, ec2=ec2) for key, value in sent.items()}
    if isinstance(sent, str) and shape.type_name in ("integer", "long"):
        return int(sent)
    return {"true": True, "false": False}[sent] if isinstance(sent, str) and shape.type_name == "boolean" else sent


def _sent(exchange: Exchange) -> Any:
    """Return what a request says: a form as a tree, or a body with what stands in path and query."""
    request, operation = exchange.request, exchange.operation
    if operation.service_model.metadata["protocol"] in ("json", "rest-json"):
        names = re.findall(r"\{([^}]+)\}", operation.http["requestUri"])
        values = re.fullmatch(
            re.sub(r"\{[^}]+\}", "([^/]+)", operation.http["requestUri"]), "/" + request.url.path.split("/", 3)[3]
        )
        in_path = dict(zip(names, values.groups() if values else (), strict=True))
        return {**json.loads(request.content or b"{}"), **dict(request.url.params), **in_path}
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(request.content.decode(), keep_blank_values=True):
        *above, last = key.split(".")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return {key: value for key, value in tree.items() if key not in ("Action", "Version")}


def _unknown(shape: Any, answer: Any, at: str) -> Iterator[str]:
    """Yield the places of an answer that its model does not know."""
    if isinstance(answer, ET.Element):
        yield from _unknown_xml(shape, answer, at)
    elif shape.type_name == "structure":
        names = {_name(shape, member): member for member in shape.members}
        for key, value in answer.items():
            if key not in names:
                yield f"{at}.{key}"
            else:
                yield from _unknown(shape.members[names[key]], value, f"{at}.{key}")
    elif shape.type_name == "list":
        for each in answer:
            yield from _unknown(shape.member, each, f"{at}[]")


def _unknown_xml(shape: Any, element: ET.Element, at: str) -> Iterator[str]:
    if shape.type_name == "structure":
        names = {_name(shape, member): member for member in shape.members}
        for each in element:
            if each.tag not in names:
                yield f"{at}.{each.tag}"
            else:
                yield from _unknown_xml(shape.members[names[each.tag]], each, f"{at}.{each.tag}")
    elif shape.type_name == "list":
        for each in element:
            wanted = shape.member.serialization.get("name", "member")
            if each.tag != wanted:
                yield f"{at}.{each.tag}, not {wanted}"
            else:
                yield from _unknown_xml(shape.member, each, f"{at}[]")


def _answer(exchange: Exchange) -> Any:
    """Return what an answer says below its envelope; None if the operation gives nothing."""
    if not exchange.answer.lstrip().startswith(b"<"):
        return json.loads(exchange.answer)
    root = ET.fromstring(exchange.answer)
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    assert root.tag == f"{exchange.operation.name}Response"
    shape = exchange.operation.output_shape
    if exchange.operation.service_model.metadata["protocol"] == "query":
        return None if shape is None else root.find(shape.serialization["resultWrapper"])
    for each in [each for each in root if each.tag in ("requestId", "return")]:
        root.remove(each)  # of the envelope; what a model has no shape for says return alone
    return root


@asynccontextmanager
async def _used(simulation: Simulation, url: str, kind: type[Any], **more: Any) -> AsyncIterator[tuple[Any, Witness]]:
    given = {**simulation.project_settings(url)[kind.product], "requests_per_minute": 60_000, **more}
    del given["product"]
    for name in ("access_key_id", "secret_access_key"):
        given[name] = Secret.of_value(given[name])
    witness = Witness()
    connector: Connector = build(kind, kind.product, given, Redactor(), transport=witness)
    try:
        yield connector, witness
    finally:
        await connector.http.aclose()


async def _live(*changes: Awaitable[None]) -> None:
    for change in changes:
        with through(Door(mode="live", effect=Effect.CHANGE, action="aws.change", intended=True)):
            await change


async def _of_iam(simulation: Simulation, url: str) -> list[Exchange]:
    state: Any = simulation.estate.product_state["aws_iam"]
    name = next(iter(group["members"][0] for group in state["groups"].values() if group["members"]))
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    arn = "arn:aws:iam::123456789012:policy/own"
    state["policies"][arn] = document
    for group in state["groups"].values():
        group["attached"], group["policies"] = [arn], {"inline": document}
    detail = {"EventId": "e", "EventName": "n", "EventSource": "s", "Username": name, "CloudTrailEvent": "{}"}
    state["events"].append({**detail, "EventTime": datetime.now(UTC).timestamp() - 5})
    async with _used(simulation, url, AwsIam, role_arn=ROLE, external_id="an-id") as (iam, witness):
        (user,) = await iam.find_users(name)
        (group, *_) = await iam.groups_of(user)
        (key,) = await iam.find_access_keys(name)
        await iam.find_access_keys(key.id)
        await iam.search_api_calls(name)
        await _live(
            iam.disable_user(user, "r"), iam.enable_user(user, "r"), iam.revoke_sessions(user, "r"),
            iam.remove_from_group(user, group, "r"), iam.add_to_group(user, group, "r"), iam.deactivate_key(key, "r"),
        )  # fmt: skip
        await iam.sessions_of(user)
        return witness.seen


async def _of_network(simulation: Simulation, url: str) -> list[Exchange]:
    machine = next(iter(simulation.estate.product_state["aws_network"]["machines"].values()))
    async with _used(simulation, url, AwsNetwork) as (net, witness):
        await net.find_machines(next(iter(machine["interfaces"].values()))["ip"])
        (found,) = await net.find_machines(machine["id"])
        await _live(net.quarantine_machine(found, "r"), net.reconnect_machine(found, "r"))
        await net.network_of(found)
        await _live(net.block_indicators(BOTH, "r"), net.unblock_indicators(BOTH, "r"))
        seen = list(witness.seen)
    acls = {"ip_set_v4": None, "ip_set_v6": None, "network_acls": [NETWORK_ACL]}
    async with _used(simulation, url, AwsNetwork, **acls) as (net, witness):
        await _live(net.block_indicators(BOTH, "r"), net.unblock_indicators(BOTH, "r"))
        return seen + witness.seen


async def _of_logs(simulation: Simulation, url: str) -> list[Exchange]:
    simulation.estate.product_state["aws_logs"]["hub"].append(_HUB_FINDING)
    async with _used(simulation, url, AwsLogs) as (logs, witness):
        await logs.search_logs_for(Indicator(kind="ipv4", value="203.0.113.9"))
        assert await logs.search_logs("fields @message", since_s=10**7)
        assert await logs.list_detections(since_s=10**8)
        await logs.list_detections(severity="high")
        return witness.seen


_HUB_FINDING: Mapping[str, Any] = {
    "Id": "f", "Title": "t", "Severity": {"Label": "LOW"}, "UpdatedAt": "2026-01-01T00:00:00.000Z",
    "RecordState": "ACTIVE", "Workflow": {"Status": "NEW"}, "Resources": [{"Type": "AwsIamUser", "Id": "arn"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("use", "operations"),
    [
        (_of_iam, 19),
        (_of_network, 10),
        (_of_logs, 6),
    ],
)
async def test_requests_and_answers_are_as_awss_models_say(use: Any, operations: int) -> None:
    """Every operation that a connector uses, with all the parameters that the model wants and none that it does not."""
    base = datetime.now(UTC).replace(microsecond=0)
    estate = make_estate(7, hosts=60, users=20, connections=20, base=base, settle_s=0.02)
    simulation = Simulation(estate, [AwsIamSimulator, AwsNetworkSimulator, AwsLogsSimulator])
    with running(simulation) as url:
        seen: list[Exchange] = await use(simulation, url)
    assert len({str(each) for each in seen}) == operations, sorted({str(each) for each in seen})
    for each in seen:
        shape, ec2 = each.operation.input_shape, each.operation.service_model.metadata["protocol"] == "ec2"
        sent = {} if shape is None else _parameters(shape, _sent(each), ec2=ec2)
        report = ParamValidator().validate(sent, shape)
        assert not report.has_errors(), f"{each}: {report.generate_report()}"
        output, answer = each.operation.output_shape, _answer(each)
        assert (answer is not None and len(answer) > 0) or not _gives_something(output), (
            f"{each}: {each.answer[:300]!r}"
        )
        unknown = [] if output is None or answer is None else sorted(set(_unknown(output, answer, str(each))))
        assert unknown == []


def _gives_something(shape: Any) -> bool:
    return shape is not None and bool(shape.required_members)
