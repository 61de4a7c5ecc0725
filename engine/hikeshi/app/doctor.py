"""A check-up of a project: everything that can be found out without changing, creating or sending anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from hikeshi.app.finding import Finding, fine, problem, warning
from hikeshi.journal import JournalError
from hikeshi.project import ProjectError

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi
    from hikeshi.capabilities import ActionSpec
    from hikeshi.connector.published import ListStanding, PublishedLists

__all__ = ["check_products", "check_project", "otel_is_wanted"]

_ASK_TIMEOUT_S: Final = 15.0
_NOBODY: Final = "hikeshi-doctor"  # nobody is called so: a search for it is answered with nothing
_MOST_LISTED: Final = 20
_POLLED_WITHIN_S: Final = 600.0


def check_project(app: Hikeshi) -> Iterator[Finding]:
    """Give everything that is found of a project; its journal is opened here, to read only."""
    yield from _playbooks(app)
    yield from _guardrails(app)
    yield from _connectors(app)
    yield from _webhook_secrets(app)
    yield from _machine(app)
    yield from _journal(app)


# --- what is written in files -------------------------------------------------------------------------------------


def _playbooks(app: Hikeshi) -> Iterator[Finding]:
    found = app.check()
    own = set(app.wrong_settings(app.config.connectors))  # said with the connectors
    problems = [each for each in found.problems if not (isinstance(each, str) and _is_said_elsewhere(each, own))]
    for each in problems[:_MOST_LISTED]:
        position = getattr(each, "position", None)
        where = "hikeshi.yaml" if position is None else f"{position.file}:{position.line}:{position.column}"
        text = str(each) if position is None else getattr(each, "message", str(each))
        yield problem("playbooks", text, where, "mend it; all of them: hikeshi check")
    if len(problems) > _MOST_LISTED:
        yield problem("playbooks", f"{len(problems) - _MOST_LISTED} more problems", "", "hikeshi check")
    if not problems:
        yield fine("playbooks", f"{found.playbooks} checked, no problems", str(app.config.folder))


def _is_said_elsewhere(text: str, own: set[str]) -> bool:
    return text in own or text.startswith("every change is refused: ") or ": no action is called " in text


def _guardrails(app: Hikeshi) -> Iterator[Finding]:
    rules = app.guardrails
    where = str(app.config.folder / "hikeshi.yaml")
    if rules.broken_because:
        text = f"every change is refused: {rules.broken_because}"
        yield problem("guardrails", text, where, "mend it: hikeshi guardrails")
        return
    try:
        idle = rules.idle(app.catalogue.specs) if app.catalogue.instances else []
    except ProjectError:  # said with the connectors
        idle = []
    for text in idle:
        place, _, what = text.partition(": ")
        yield warning("guardrails", f"a rule that holds nothing back: {what}", place, "mend the action's name")
    if not idle:
        count = len(rules.protected) + len(rules.limits) + len(rules.approvals)
        yield fine("guardrails", f"{count} rules, the engine's own among them", where)


def _connectors(app: Hikeshi) -> Iterator[Finding]:
    where = str(app.config.folder / "hikeshi.yaml")
    if not app.config.connectors:
        yield warning("connectors", "none is configured", where, "add one: docs/getting-started.md")
    for name in sorted(app.config.connectors):
        wrong = app.wrong_settings([name], secrets=True)
        for text in wrong:
            yield problem(
                "connectors", text.removeprefix(f"{where}: "), where, "mend its settings, or where its secret is kept"
            )
        if not wrong:
            yield fine("connectors", f"{name}: settings and secrets are there; not asked", where)
            yield from _lists(app, name)


def _lists(app: Hikeshi, name: str) -> Iterator[Finding]:
    """Give what is wrong with the lists that a connector publishes: what nobody fetches blocks nothing."""
    from hikeshi.connector.errors import ConnectorError
    from hikeshi.connector.registry import ConnectorNotUsable

    try:
        published = app.instances.get(name).published_lists()
        standings = () if published is None else published.standings()
        emptied = {each.name for each in standings if published and _was_emptied(published, each)}
    except (ConnectorError, ConnectorNotUsable) as exc:
        yield problem("lists", f"{name}: {exc}", "", "nothing it blocks is served: mend that first")
        return
    for each in standings:
        polled = each.polled_at
        age_s = None if polled is None else (app.clock.now() - polled).total_seconds()
        if age_s is not None and age_s <= _POLLED_WITHIN_S:
            continue
        since = "never" if age_s is None else f"not for {age_s / 60:.0f} minutes"
        step = "see the external dynamic list on the firewall, and whether serve runs"
        if each.entries:
            text = f"{name}: {each.name} has {each.entries} entries and was {since} fetched: they block nothing"
            yield warning("lists", text, "", step)
        elif each.name in emptied:
            text = (
                f"{name}: {each.name} was emptied, and {since} fetched: {each.polled_by} may still block what was on it"
            )
            yield warning("lists", text, "", step)


def _was_emptied(published: PublishedLists, standing: ListStanding) -> bool:
    """Say whether a list is empty that had entries, or may have had, when it was fetched last."""
    if standing.entries or standing.polled_at is None:
        return False
    text = published.read(standing.name)
    return text is not None and text.changed_at > standing.polled_at


def _webhook_secrets(app: Hikeshi) -> Iterator[Finding]:
    from hikeshi.secrets import Secret, SecretUnavailable

    where = str(app.config.folder / "hikeshi.yaml")
    for name, source in app.config.webhooks.items():
        wrong = []
        for reference in source.secrets:
            try:
                app.redactor.add(Secret.parse(reference).reveal())
            except (SecretUnavailable, ValueError) as exc:
                wrong.append(str(exc))
        # While one secret takes another's place, one that is there is enough to let events in.
        if wrong and len(wrong) == len(source.secrets):
            yield problem("webhooks", f"{name}: {wrong[0]}", where, "nothing it sends is believed: set its secret")
        elif wrong:
            yield warning("webhooks", f"{name}: {wrong[0]}", where, "set it, or take it out of the list")
        else:
            yield fine("webhooks", f"{name}: its secret is there" if source.secrets else f"{name}: {source.verify}")


# --- the machine and the journal -----------------------------------------------------------------------------------


def _machine(app: Hikeshi) -> Iterator[Finding]:
    from hikeshi.app import machine
    from hikeshi.audit.keys import KEY_FILE, NEXT_KEY_FILE

    folder, path = app.config.state_folder, app.journal_path
    yield machine.check_file_limit()
    yield machine.check_clock_sync()
    needed = {"audit" for each in app.config.audit.anchors if each.type == "timestamp"}
    yield from machine.check_extras(sorted(needed | ({"otel"} if otel_is_wanted() else set())))
    if not folder.is_dir():
        yield fine("state", "nothing ran in this project yet", str(folder))
        return
    if os.geteuid() not in (0, folder.stat().st_uid):
        text = "it belongs to another user than the one who asks"
        yield warning("state", text, str(folder), "ask as the user that runs Hikeshi")
    beside = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    yield from machine.check_permissions(folder, beside, [folder / KEY_FILE, folder / NEXT_KEY_FILE])
    yield from machine.check_disk(folder, path.stat().st_size if path.exists() else 0)


def _journal(app: Hikeshi) -> Iterator[Finding]:
    from hikeshi.app import journal_health as health

    if not app.journal_path.exists():
        return
    try:
        health.open_to_read(app)
    except JournalError as exc:
        yield problem("database", exc.what, exc.where, exc.what_next)
        return
    for check in (
        health.check_database,
        health.check_signing,
        health.check_anchors,
        health.check_clock,
        health.check_runs,
        health.check_holds,
        health.check_stops,
    ):
        try:
            yield from check(app)
        except JournalError as exc:
            yield problem("database", exc.what, exc.where, exc.what_next)


def otel_is_wanted() -> bool:
    """Say whether the environment names a place for traces."""
    return any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT") for name in ("", "TRACES_"))


# --- the products ---------------------------------------------------------------------------------------------------


async def check_products(app: Hikeshi) -> list[Finding]:
    """Ask each configured product one cheap declared read, and say what came of it."""
    import asyncio

    try:
        names = sorted(app.catalogue.instances)
    except ProjectError:
        return []
    return list(await asyncio.gather(*(_ask(app, name) for name in names)))


async def _ask(app: Hikeshi, name: str) -> Finding:
    from hikeshi.connector.errors import ConnectorError
    from hikeshi.connector.registry import ConnectorNotUsable
    from hikeshi.runtime.reads import read_one
    from hikeshi.secrets import SecretUnavailable

    chosen = _cheap_read(app, name)
    if chosen is None:
        return fine("products", f"{name}: not asked, it has no read that takes nothing", app.config.products[name])
    spec, arguments = chosen
    try:
        await read_one(spec, spec.verb, arguments, app.instances.get(name), "plan", _ASK_TIMEOUT_S)
    except (ConnectorError, ConnectorNotUsable, SecretUnavailable) as exc:
        text = app.redactor.text(f"{name}: {spec.name}: {exc}")
        step = "check its address, its key and its rights: hikeshi connectors"
        return problem("products", text, app.config.products[name], step)
    return fine("products", f"{name}: answers {spec.name}", app.config.products[name])


def _cheap_read(app: Hikeshi, name: str) -> tuple[ActionSpec, dict[str, Any]] | None:
    """Return a read that needs no argument, or a search for a name that nobody has; None if there is neither."""
    from hikeshi.capabilities import Effect

    catalogue = app.catalogue
    supported = sorted(catalogue.instances[name].supported)
    reads = [catalogue.specs[each] for each in supported if catalogue.specs[each].effect is Effect.READ]
    for spec in reads:
        required = [each for each in spec.parameters if each.required]
        if len(required) == 1 and required[0].annotation is str and spec.verb.startswith("find_"):
            return spec, {required[0].name: _NOBODY}
    for spec in reads:
        if not any(each.required for each in spec.parameters):
            return spec, {}
    return None
