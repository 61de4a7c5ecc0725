"""Which triggers there are follows the files, and a slip in one switches nothing off."""

import os

from watch import Watch

from hikeshi.triggers import Triggers

ONE = """
id: {id}
triggers:
  - {{id: alert, webhook: edr}}
steps:
  - {{id: a, set: {{x: "1"}}}}
"""


def names(triggers: Triggers) -> list[str]:
    return [f"{each.playbook.id}/{each.trigger.id}" for each in triggers._roster.entries]


async def test_a_new_file_is_found_and_a_removed_one_is_forgotten(watch: Watch) -> None:
    """Triggers come and go with their files."""
    triggers = watch.triggers()
    await triggers.refresh()
    assert names(triggers) == []
    path = watch.write(ONE.format(id="it"))
    await triggers.refresh()
    assert names(triggers) == ["it/alert"]
    path.unlink()
    await triggers.refresh()
    assert names(triggers) == []


async def test_a_changed_file_is_taken(watch: Watch) -> None:
    """What the file says now counts."""
    watch.write(ONE.format(id="it"))
    triggers = watch.triggers()
    await triggers.refresh()
    watch.write(ONE.format(id="it").replace("id: alert", "id: alarm"))
    await triggers.refresh()
    assert names(triggers) == ["it/alarm"]


async def test_a_broken_file_keeps_its_triggers_and_says_so_once(watch: Watch) -> None:
    """An editor's slip must not switch off what answers to alerts: not a wrong key, not a lost ID, not bad YAML."""
    watch.write(ONE.format(id="it"))
    triggers = watch.triggers()
    await triggers.refresh()
    for number, broken in enumerate(["id: it\nsteps: [", "steps: []", ONE.format(id="it").replace("set:", "sett:")], 1):
        watch.write(broken)
        await triggers.refresh()
        await triggers.refresh()
        assert names(triggers) == ["it/alert"]
        assert len(watch.told) == number
        assert "it.yaml is broken; its triggers stay as they were" in watch.told[-1]
        assert triggers.overview()[0]["problem"]
    watch.write(ONE.format(id="it"))
    await triggers.refresh()
    assert triggers.overview()[0]["problem"] is None


async def test_a_playbook_that_cannot_run_here_keeps_its_last_good_version(watch: Watch) -> None:
    """The checks of a run count as well: an action that does not exist is as broken as bad YAML."""
    watch.write(ONE.format(id="it"))
    triggers = watch.triggers()
    await triggers.refresh()
    watch.write(ONE.format(id="it").replace('set: {x: "1"}', "action: edr.nothing"))
    await triggers.refresh()
    assert names(triggers) == ["it/alert"]
    assert "nothing" in watch.told[0]


async def test_a_playbook_that_is_written_twice_keeps_what_it_was(watch: Watch) -> None:
    """Two files with one ID are a problem; taking one away mends it without touching the other."""
    watch.write(ONE.format(id="it"))
    triggers = watch.triggers()
    await triggers.refresh()
    twin = watch.write(ONE.format(id="it"), "twin")
    await triggers.refresh()
    assert names(triggers) == ["it/alert"]
    assert "given twice" in watch.told[0]
    twin.unlink()
    await triggers.refresh()
    assert triggers.overview()[0]["problem"] is None


async def test_a_webhook_that_is_not_configured_is_a_problem(watch: Watch) -> None:
    """A trigger whose source nobody verifies can't be started by it, and the overview says so."""
    watch.write(ONE.format(id="it").replace("edr", "nobody"))
    triggers = watch.triggers()
    await triggers.refresh()
    assert "no webhook 'nobody'" in triggers.overview()[0]["problem"]
    await triggers.receive("webhook:nobody", "e1", {})
    await triggers.settled()
    assert watch.runs() == []


async def test_an_event_that_a_broken_playbook_may_have_wanted_is_told(watch: Watch) -> None:
    """After a restart nobody knows what a broken file had; what comes meanwhile does not vanish in silence."""
    watch.write("id: it\ntriggers: [")
    triggers = watch.triggers()
    await triggers.receive("webhook:edr", "e1", {})
    await triggers.settled()
    assert "it.yaml is broken" in watch.told[0]
    assert "started nothing: playbooks are broken" in watch.told[1]


async def test_other_settings_count_without_another_file(watch: Watch) -> None:
    """A webhook that is configured later is one from then on."""
    from hikeshi.project import load_config

    watch.write(ONE.format(id="it").replace("edr", "later"))
    triggers = watch.triggers()
    await triggers.refresh()
    assert triggers.overview()[0]["problem"]
    watch.settings('connectors: {fake: {product: fake}}\nwebhooks: {later: {verify: github, secret: "${env:A}"}}\n')
    triggers.app.config = load_config(watch.folder)
    await triggers.refresh()
    assert triggers.overview()[0]["problem"] is None


async def test_a_file_that_is_as_it_was_is_not_read_again(watch: Watch) -> None:
    """A stamp that stays means the same text; so five hundred playbooks cost a look at their stamps."""
    path = watch.write(ONE.format(id="it"))
    stat = path.stat()
    triggers = watch.triggers()
    await triggers.refresh()
    path.write_text(ONE.format(id="it").replace("id: alert", "id: alarm"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    await triggers.refresh()
    assert names(triggers) == ["it/alert"]
