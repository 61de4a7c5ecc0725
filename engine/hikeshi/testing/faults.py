"""Faults: what goes wrong between an engine and a vendor, on order.

A fault waits for requests that it fits and acts on the next `times` of them. Exactly one kind of fault each:

    status                  answer with this status (and `body`, `headers`) instead of the vendor
    html                    answer 200 with an HTML page, as a proxy's login page would
    too_many_requests_s     answer as the vendor does when its rate limit is reached
    delay_s                 take this long
    drop                    close the connection without an answer
    half                    answer with the headers and half of the body, then close the connection
    body_bytes              pad the answer with spaces to at least this size

`when` says whether the vendor has processed the request when the fault acts: "after" means that the effect has
happened although the caller is never told. `drop` says the same by its value.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, TypeAdapter, ValidationError

KINDS = ("status", "html", "too_many_requests_s", "delay_s", "drop", "half", "body_bytes")


class FaultError(ValueError):
    """A fault that was ordered does not make sense; the message says why."""


@dataclass(slots=True)
class Fault:
    """One ordered fault: which requests it fits, how often it acts, and what it does.

    `product` and `method` may be "*"; `path` is a shell pattern for the path below the product's own prefix;
    `times` None means until it is removed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    product: str = "*"
    method: str = "*"
    path: str = "*"
    times: int | None = 1
    when: Literal["before", "after"] = "before"
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    html: bool = False
    too_many_requests_s: NonNegativeFloat | None = None
    delay_s: NonNegativeFloat | None = None
    drop: Literal["before", "after"] | None = None
    half: bool = False
    body_bytes: NonNegativeInt | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.drop is not None:
            self.when = self.drop

    @property
    def kind(self) -> str:
        """What this fault does: one of `KINDS`."""
        return self.kinds()[0]

    def kinds(self) -> list[str]:
        """Return everything that was ordered with it; 0 is an order too."""
        return [kind for kind in KINDS if (value := getattr(self, kind)) is not None and value is not False]

    def fits(self, product: str, method: str, path: str) -> bool:
        """Say whether the fault is meant for such a request."""
        return (
            self.product in ("*", product)
            and self.method.upper() in ("*", method)
            and (self.path == "*" or fnmatchcase(path, self.path))
        )


class Faults:
    """The faults that are waiting, in the order in which they were ordered; the first that fits acts."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Remove every fault."""
        self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """Return the faults still waiting, as JSON values."""
        return [_codec().dump_python(fault, mode="json", exclude_defaults=True) for fault in self._waiting]

    def take(self, product: str, method: str, path: str) -> Fault | None:
        """Return the fault that acts on this request, if there is one, and use it up by one."""
        if not self._waiting:
            return None
        fault = next((each for each in self._waiting if each.fits(product, method, path)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._waiting.remove(fault)
        return fault


@cache
def _codec() -> TypeAdapter[Fault]:
    return TypeAdapter(Fault)


def parse_fault(data: Any) -> Fault:
    """Return the fault that a JSON object describes. Raises FaultError, naming every problem, when it is none."""
    try:
        fault = _codec().validate_python(data)
    except ValidationError as exc:
        problems = [f"{'.'.join(map(str, each['loc'])) or 'fault'}: {each['msg']}" for each in exc.errors()]
        raise FaultError("; ".join(problems)) from exc
    kinds = fault.kinds()
    if len(kinds) != 1:
        given = ", ".join(kinds) or "none"
        raise FaultError(f"a fault does exactly one of {', '.join(KINDS)}; given: {given}")
    if fault.times is not None and fault.times < 1:
        raise FaultError(f"times: must be at least 1, or null for always; given: {fault.times}")
    return fault
