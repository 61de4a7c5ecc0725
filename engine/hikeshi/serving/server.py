"""One process that serves a project: it listens, works and fires triggers until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from hikeshi.api.application import make_api
from hikeshi.api.guard import Guard
from hikeshi.api.list_routes import ListDoor
from hikeshi.app.reload import Reload
from hikeshi.chat import Chat, chat_routes
from hikeshi.console.application import add_console
from hikeshi.console.doors import ConsoleDoor
from hikeshi.journal import JournalError
from hikeshi.service.service import Service
from hikeshi.service.shift import worker_for
from hikeshi.serving.stopping import stopped_by_signals
from hikeshi.serving.tracing import tracing_from_environment

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.core import RunState
    from hikeshi.core.events import Event
    from hikeshi.runtime.driver import Watcher

__all__ = ["Listening", "serve_project"]

_log = structlog.get_logger("hikeshi.service")

_FOR_EVER_S = 10 * 365 * 86_400.0
_AGAIN_S = 5.0
_RELOAD_EVERY_S = 2.0
STOP_WITHIN_S = 30.0
"""What is under way gets so long to end; then it is left to whoever works next. Supervisors kill after 90 s."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens. With a certificate and its key it speaks HTTPS."""

    host: str
    port: int
    certificate: str | None = None
    key: str | None = None
    behind_proxy: bool = False


class _Server(uvicorn.Server):
    """A server whose signals somebody else takes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """One project that is being served."""

    def __init__(self, app: Hikeshi, listening: Listening, say: Callable[[str], None], *, triggers: bool) -> None:
        self._app = app
        self._say = say
        self._listening = listening
        self._stopping = asyncio.Event()
        app.patience_s, app.trouble = _FOR_EVER_S, self._trouble
        self._tracing = tracing_from_environment()
        watchers: list[Watcher] = [_logged, *([] if self._tracing is None else [self._tracing])]
        self._worker = worker_for(app, watchers, ended=self._ended, trouble=self._cannot_go_on)
        self._triggers = self._make_triggers() if triggers else None
        self.service = Service(app, wake=self._worker.wake, triggers=self._triggers)
        self._chat = Chat(self.service, alert=self._trouble, wake=self._worker.wake)
        self._works = False
        self._server: _Server | None = None

    async def run(self) -> int:
        """Serve until it is stopped. Returns the exit code. Raises OSError if nobody can listen there."""
        listener = _listener(self._listening)
        jobs = [self._keep_working(), self._serve(listener), self._reload(), self._chat.run()]
        if self._triggers is not None:
            jobs.append(self._triggers.run())
        tasks = [asyncio.create_task(each) for each in jobs]
        with stopped_by_signals(self._stopping, self._say):
            try:
                await self._until_stopped(tasks)
            except asyncio.CancelledError:
                self._say("Stopped at once. What was under way is looked up when somebody works again.")
                return 130
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        self._say("Stopped. What is not over is stored, and goes on when somebody works again.")
        return 0

    async def _until_stopped(self, tasks: list[asyncio.Task[Any]]) -> None:
        stopper = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopper, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopper.cancel()
        self._begin_to_stop()
        for task in done - {stopper}:
            task.result()  # a part that has ended by itself has failed
        await asyncio.wait(tasks, timeout=STOP_WITHIN_S)

    def _begin_to_stop(self) -> None:
        self.service.stopping = True
        self._worker.stop()
        self._chat.stop()
        if self._triggers is not None:
            self._triggers.stop()
        if self._server is not None:
            self._server.should_exit = True

    # --- working ----------------------------------------------------------------------------------------------

    async def _keep_working(self) -> None:
        """Go on with whatever is due; a journal that can't be read or written is tried again for ever."""
        while not self._stopping.is_set():
            try:
                self._works = True
                await self._worker.run(stay=True)
                return
            except JournalError as exc:
                self._works = False
                self._trouble(str(exc))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _AGAIN_S)

    async def _reload(self) -> None:
        """Take playbooks and configuration anew when their files change."""
        reload = Reload(self._app)
        while not self._stopping.is_set():
            try:
                for text in await reload.look():
                    self._trouble(text)
            except JournalError as exc:
                self._trouble(str(exc))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RELOAD_EVERY_S)

    def _is_ready(self) -> bool:
        try:
            self._app.journal.query("SELECT 1 FROM runs LIMIT 1")
        except JournalError:
            return False
        return self._works and not self.service.stopping

    def _make_triggers(self) -> Any:
        from hikeshi.triggers import Triggers

        return Triggers(self._app, alert=self._trouble, wake=self._worker.wake)

    def _ended(self, state: RunState) -> None:
        _log_end(state)
        if self._tracing is not None:
            self._tracing.left(state)

    def _trouble(self, text: str, **about: str) -> None:
        _log.error("trouble", what=text, **about)
        self._say(text)

    def _cannot_go_on(self, name: str, exc: Exception) -> None:
        from hikeshi.app.failure import failure_of

        failure = failure_of(exc)
        why = failure.message if failure is not None else f"{type(exc).__name__}: a defect"
        about = {} if name.startswith("hold ") else {"run": name, "path": ""}
        self._trouble(f"{name} cannot go on: {why}", **about)

    # --- listening --------------------------------------------------------------------------------------------

    async def _serve(self, listener: socket.socket) -> None:
        api = make_api(self.service, is_ready=self._is_ready)
        if self._triggers is not None:
            from hikeshi.triggers import hook_routes

            api.router.routes.extend(hook_routes(self._triggers))
        api.router.routes.extend(chat_routes(self.service))
        add_console(api, self.service)
        place = self._listening
        config = uvicorn.Config(
            Guard(ListDoor(ConsoleDoor(api, self.service), self.service)),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            proxy_headers=place.behind_proxy,
            forwarded_allow_ips="127.0.0.1,::1" if place.behind_proxy else None,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
            timeout_graceful_shutdown=int(STOP_WITHIN_S / 2),
            timeout_keep_alive=30,
        )
        self._server = _Server(config)
        scheme = "https" if place.certificate else "http"
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self._say(f"Serving at {scheme}://{shown}:{port}  (Ctrl-C stops it)")
        await self._server.serve(sockets=[listener])


async def serve_project(
    app: Hikeshi, listening: Listening, say: Callable[[str], None], *, triggers: bool = True
) -> int:
    """Serve a project until it is told to stop, and return the exit code."""
    return await Serving(app, listening, say, triggers=triggers).run()


def _listener(place: Listening) -> socket.socket:
    """Listen before anything is begun: a port that is taken is said at once. Raises ProjectError."""
    from hikeshi.project import ProjectError

    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, else asyncio sets no TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
        listener.listen(2048)  # who comes before the server is up waits in line, and is not turned away
    except OSError as exc:
        listener.close()
        where = f"{place.host}:{place.port}"
        raise ProjectError([f"nobody can listen at {where}: {exc.strerror}; choose another with --port"]) from exc
    return listener


def _logged(event: Event, state: RunState) -> None:
    _log.info("run_event", run=state.run, seq=state.seq, kind=type(event).__name__, path=event.path)


def _log_end(state: RunState) -> None:
    _log.info("run_left", run=state.run, path="", playbook=state.program.main, status=str(state.status.value))
