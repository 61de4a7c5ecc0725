"""Traces for OpenTelemetry: a span for each run, each step and each attempt, made from what the run records.

The rule: attributes hold identifiers, actions, connectors and statuses; never an argument, an output or a message.

Nothing is imported, and nothing is sent, unless the environment names a place for traces (OTEL_EXPORTER_OTLP_ENDPOINT).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hikeshi import __version__
from hikeshi.app.doctor import otel_is_wanted
from hikeshi.core import events as ev
from hikeshi.core.status import ENDED

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

    from hikeshi.core import RunState
    from hikeshi.core.events import Event

__all__ = ["Tracing", "trace_id_of", "tracing_from_environment"]

_log = logging.getLogger("hikeshi.tracing")
_FLUSH_WITHIN_MS: Final = 5_000
_BEGINS_STEP: Final = (
    ev.ActionRequested,
    ev.FannedOut,
    ev.StepStarted,
    ev.LoopStarted,
    ev.PlaybookEntered,
    ev.WaitStarted,
    ev.ApprovalBegan,
    ev.QuestionAsked,
    ev.ReleaseRequested,
    ev.ValuesSet,
    ev.PassStarted,
)
_BEGINS_ATTEMPT: Final = (ev.ActionRequested, ev.ActionIntended, ev.TimerFired)
_ENDS_ATTEMPT: Final = (ev.ActionSucceeded, ev.ActionFailed, ev.ActionUnknown)


def trace_id_of(run: str) -> int:
    """Return the trace that a run is: the same in every process that goes on with it."""
    return int.from_bytes(hashlib.sha256(b"hikeshi run " + run.encode()).digest()[:16], "big") or 1


def tracing_from_environment() -> Tracing | None:
    """Return what traces runs, or None if the environment names no place for traces.

    Raises ProjectError if the libraries for it are not installed.
    """
    if not otel_is_wanted() or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as exc:
        from hikeshi.project import ProjectError

        text = f"OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and {exc.name} is not installed"
        raise ProjectError([f"{text}: python -m pip install 'hikeshi[otel]'"]) from exc
    return Tracing.sending_to(OTLPSpanExporter())


@dataclass(slots=True)
class _Run:
    """The spans of one run that are open in this process."""

    span: Span
    steps: dict[str, Span] = field(default_factory=dict)
    attempts: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)


class Tracing:
    """Watches runs, and makes spans of what happens in them. A defect in here ends no run."""

    def __init__(self, provider: TracerProvider, aim: Callable[[str | None], None]) -> None:
        """`aim` says of which run the next trace is."""
        self._provider = provider
        self._aim = aim
        self._tracer: Tracer = provider.get_tracer("hikeshi", __version__)
        self._runs: dict[str, _Run] = {}
        self._has_complained = False

    @classmethod
    def sending_to(cls, exporter: SpanExporter, *, at_once: bool = False) -> Tracing:
        """Return what sends its spans there: in batches, from a thread of its own, unless `at_once`."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class RunIds(RandomIdGenerator):
            """Gives the trace of a run the ID that follows from its name."""

            run: str | None = None

            def generate_trace_id(self) -> int:
                return super().generate_trace_id() if self.run is None else trace_id_of(self.run)

        ids = RunIds()
        name = os.environ.get("OTEL_SERVICE_NAME", "hikeshi")
        resource = Resource.create({"service.name": name, "service.version": __version__})
        provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
        return cls(provider, lambda run: setattr(ids, "run", run))

    def __call__(self, event: Event, state: RunState) -> None:
        """See what happened in a run. It implements `hikeshi.runtime.driver.Watcher`."""
        try:
            self._see(event, state)
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with a trace, the run goes on
            if not self._has_complained:
                self._has_complained = True
                _log.warning("traces are not complete: %s", type(exc).__name__)

    def left(self, state: RunState) -> None:
        """End what is open of a run that this process does not drive any more."""
        run = self._runs.pop(state.run, None)
        if run is not None:
            self._end_all(run, state, _ns(state.now))

    def close(self) -> None:
        """Send what is not sent yet. May take seconds."""
        for run in self._runs.values():
            for span in [*run.steps.values(), run.span]:
                span.end()
        self._runs.clear()
        self._provider.force_flush(_FLUSH_WITHIN_MS)
        self._provider.shutdown()

    # --- what happens -----------------------------------------------------------------------------------------

    def _see(self, event: Event, state: RunState) -> None:
        at = _ns(state.now)
        run = self._runs.get(state.run)
        if run is None or isinstance(event, ev.RunStarted | ev.RunTakenOver):
            self.left(state)
            run = self._runs[state.run] = _Run(self._begin_run(state, at))
        if event.path and event.path not in run.steps and isinstance(event, _BEGINS_STEP):
            run.steps[event.path] = self._begin_step(run, event, state, at)
        if isinstance(event, _BEGINS_ATTEMPT):
            known = run.attempts.get(event.path, (at, {}))[1]
            run.attempts[event.path] = at, {**known, **_about_attempt(event)}
        elif isinstance(event, _ENDS_ATTEMPT):
            self._attempt(run, event, state, at)
        self._end_steps(run, state, at)
        if isinstance(event, ev.RunFinished | ev.RunParked):
            self.left(state)

    def _begin_run(self, state: RunState, at: int) -> Span:
        from opentelemetry.context import Context

        self._aim(state.run)
        try:
            return self._tracer.start_span(
                f"run {state.program.main}",
                Context(),
                start_time=at,
                attributes={
                    "hikeshi.run": state.run,
                    "hikeshi.playbook": state.program.main,
                    "hikeshi.mode": state.mode,
                },
            )
        finally:
            self._aim(None)

    def _begin_step(self, run: _Run, event: Event, state: RunState, at: int) -> Span:
        attributes = {"hikeshi.run": state.run, "hikeshi.step": event.path, **_about_attempt(event)}
        return self._span(f"step {event.path}", self._parent(run, event.path), at, attributes)

    def _attempt(self, run: _Run, event: Event, state: RunState, at: int) -> None:
        began, about = run.attempts.pop(event.path, (at, {}))
        number = getattr(event, "attempt", 0)
        status = {ev.ActionSucceeded: "succeeded", ev.ActionFailed: "failed"}.get(type(event), "unknown")
        attributes = {
            "hikeshi.run": state.run,
            "hikeshi.step": event.path,
            **about,
            "hikeshi.attempt": number,
            "hikeshi.status": status,
        }
        error = getattr(event, "error", None)
        if error is not None:
            attributes["error.type"] = error.kind
        parent = run.steps.get(event.path) or self._parent(run, event.path)
        span = self._span(f"attempt {number} of {event.path}", parent, began, attributes)
        if error is not None:
            _mark_failed(span)
        span.end(at)

    def _end_steps(self, run: _Run, state: RunState, at: int) -> None:
        for path in sorted(run.steps, key=len, reverse=True):
            node = state.nodes.get(path)
            if node is not None and node.status in ENDED:
                span = run.steps.pop(path)
                span.set_attribute("hikeshi.status", str(node.status.value))
                if node.error is not None:
                    span.set_attribute("error.type", node.error.kind)
                    _mark_failed(span)
                span.end(at)
                run.attempts.pop(path, None)

    def _end_all(self, run: _Run, state: RunState, at: int) -> None:
        self._end_steps(run, state, at)
        for path in sorted(run.steps, key=len, reverse=True):
            run.steps.pop(path).end(at)
        run.span.set_attribute("hikeshi.status", str(state.status.value))
        if state.finished == "failed":
            _mark_failed(run.span)
        run.span.end(at)

    def _span(self, name: str, parent: Span, at: int, attributes: Mapping[str, Any]) -> Span:
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        return self._tracer.start_span(
            name, set_span_in_context(parent, Context()), start_time=at, attributes=attributes
        )

    def _parent(self, run: _Run, path: str) -> Span:
        """Return the open span of the step that a path is in, or of the run."""
        above = [each for each in run.steps if path.startswith((f"{each}.", f"{each}[", f"{each}@"))]
        return run.steps[max(above, key=len)] if above else run.span


def _about_attempt(event: Event) -> dict[str, Any]:
    found = {"hikeshi.action": getattr(event, "action", None), "hikeshi.connector": getattr(event, "instance", None)}
    return {key: value for key, value in found.items() if value is not None}


def _mark_failed(span: Span) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))


def _ns(at: datetime | None) -> int:
    assert at is not None  # an event was folded
    return int(at.timestamp() * 1_000_000) * 1_000
