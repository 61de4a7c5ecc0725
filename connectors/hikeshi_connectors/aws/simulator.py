"""The base of simulators of AWS services: signatures, assumed roles, envelopes, refusals, pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.aws.simulated_protocol import answered, operation_of, parameters_of, refused
from hikeshi_connectors.aws.simulated_signature import Refusal, Signed, signed_by

__all__ = ["ACCOUNT", "AwsSimulator", "Operation"]

ACCOUNT = "123456789012"
Operation = Callable[[dict[str, Any]], Mapping[str, Any] | None]
_ROLE_KEY = "ASIASIMULATEDROLE0001"
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


class AwsSimulator(Simulator):
    """Services below `/<product>/<service>/`, of one account.

    `operations` gives what each service does, by the operation's name; `reads` names those that change nothing, as
    `service:Operation`. What is in neither is refused, and counts as a change.
    """

    demo_settings: ClassVar[Mapping[str, str]] = {
        "region": "us-east-1",
        "access_key_id": "AKIASIMULATEDKEY0001",
        "secret_access_key": "simulated-aws-secret-access-key",
    }
    reads: ClassVar[frozenset[str]] = frozenset()
    in_one_place: ClassVar[frozenset[str]] = frozenset({"iam"})

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.most_on_a_page = 100
        self.denied: set[str] = set()  # operations that the caller lacks the permission for, as `service:Operation`
        self._table = {
            "sts": {"AssumeRole": self._assume_role, "GetCallerIdentity": self._identity},
            **self.operations(),
        }

    def operations(self) -> Mapping[str, Mapping[str, Operation]]:
        """Return what each service does, by the operation's name."""
        return {}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {"product": cls.product, "base_url": f"{base_url}/{cls.product}/{{service}}", **cls.demo_settings}

    def reset(self) -> None:
        self.tokens.revoke_all()

    def routes(self) -> list[BaseRoute]:
        return [Route("/{service}/{path:path}", self._serve, methods=_METHODS)]

    def is_change(self, request: Request, body: bytes) -> bool:
        service, operation = self._asked(request, body)
        return service != "sts" and f"{service}:{self.kind_of(operation)}" not in self.reads

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        service, operation = self._asked(request, body)
        try:
            signed = signed_by(request, body, self._secret_of)
            self._check_scope(service, signed)
            if f"{service}:{self.kind_of(operation)}" in self.denied:
                raise Refusal(403, "AccessDenied", f"User is not authorized to perform: {service}:{operation}")
        except Refusal as refusal:
            return refused(service, refusal.status, refusal.code, refusal.message)
        return None

    def error(self, status: int, detail: str) -> Response:
        return refused("iam", status, "InvalidAction", detail)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - AWS does not say how long
        return refused("iam", 400, "Throttling", "Rate exceeded")

    async def _serve(self, request: Request) -> Response:
        body = await request.body()
        service, operation = self._asked(request, body)
        handler = self._table.get(service, {}).get(self.kind_of(operation))
        if handler is None:
            return refused(service, 400, "InvalidAction", f"Could not find operation {operation}")
        try:
            return answered(service, operation, handler({**self.more_of(request), **parameters_of(service, body)}))
        except Refusal as refusal:
            return refused(service, refusal.status, refusal.code, refusal.message)

    def kind_of(self, operation: str) -> str:
        """Return the name under which an operation is in the table. Override for paths with IDs in them."""
        return operation

    def more_of(self, request: Request) -> dict[str, Any]:  # noqa: ARG002 - for those that need it
        """Return parameters that are not in the body."""
        return {}

    @staticmethod
    def _asked(request: Request, body: bytes) -> tuple[str, str]:
        path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        service, _, rest = path.lstrip("/").partition("/")
        request.scope.setdefault("path_params", {}).setdefault("path", rest)
        return service, operation_of(service, request, body)

    def _check_scope(self, service: str, signed: Signed) -> None:
        region = "us-east-1" if service in self.in_one_place else self.credentials["region"]
        if (signed.service, signed.region) != (service, region):
            text = f"Credential should be scoped to a valid region and to the service {service}."
            raise Refusal(403, "SignatureDoesNotMatch", text)

    def _secret_of(self, key_id: str, token: str | None) -> str | None:
        if key_id == _ROLE_KEY and token is not None and self.tokens.is_valid(token):
            return self._role_secret
        if key_id == self.credentials["access_key_id"] and token == self.credentials.get("session_token"):
            return self.credentials["secret_access_key"]
        return None

    @property
    def _role_secret(self) -> str:
        return f"simulated-role-secret-of-{self.credentials['access_key_id']}"

    def _assume_role(self, params: dict[str, Any]) -> Mapping[str, Any]:
        life_s = int(params.get("DurationSeconds", 3600))
        if not params.get("RoleArn", "").startswith(f"arn:aws:iam::{ACCOUNT}:role/") or not 900 <= life_s <= 3600:
            raise Refusal(403, "AccessDenied", "User is not authorized to perform: sts:AssumeRole")
        return {
            "Credentials": {
                "AccessKeyId": _ROLE_KEY,
                "SecretAccessKey": self._role_secret,
                "SessionToken": self.tokens.issue(life_s),
                "Expiration": self.estate.now().isoformat(),
            }
        }

    def _identity(self, _: dict[str, Any]) -> Mapping[str, Any]:
        arn = f"arn:aws:iam::{ACCOUNT}:user/hikeshi"
        return {"Arn": arn, "UserId": "AIDASIMULATEDHIKESHI1", "Account": ACCOUNT}

    def page(self, items: Sequence[Any], params: Mapping[str, Any], under: str) -> dict[str, Any]:
        """Return one page of a list of the query protocol: the members, and a marker if there are more."""
        most = min(int(params.get("MaxItems", 100)), self.most_on_a_page)
        start = int(params.get("Marker", 0))
        more = len(items) > start + most
        found: dict[str, Any] = {under: list(items[start : start + most]), "IsTruncated": more}
        return {**found, "Marker": start + most} if more else found
