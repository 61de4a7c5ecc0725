"""docs/products.md says what each connector that ships can do, and how far it is tried: made from the classes.

To write it anew: HIKESHI_WRITE=1 pytest tests/contract/test_products_page.py
"""

import os
from importlib.metadata import entry_points
from pathlib import Path

from hikeshi.capabilities import BUILT_IN, Capability
from hikeshi.connector import Connector
from hikeshi.connector.quality import checklist_of
from hikeshi.connector.registry import Registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "products.md"
HEAD = """# Products

<!-- Made by tests/contract/test_products_page.py from the connectors. -->

What each connector that ships can do. `hikeshi connectors show PRODUCT` says the same of one, with the rules of quality
and what nobody has verified of the product; its README has the settings. Verbs in brackets are all that a product of
that row does not support.

"""


def ours() -> dict[str, type[Connector]]:
    """Return the connectors that ship, by product."""
    names = [each.name for each in entry_points(group="hikeshi.connectors") if each.value.startswith("hikeshi_conn")]
    registry = Registry()
    return {name: registry.load(name) for name in sorted(names)}


def page(connectors: dict[str, type[Connector]]) -> str:
    parts = [HEAD]
    for capability in BUILT_IN:
        rows = [row(name, each, capability) for name, each in connectors.items() if capability in each.capabilities()]
        if rows:
            doc = (capability.__doc__ or "").splitlines()[0]
            parts.append(f"## `{capability.capability_name}`: {doc}\n\n")
            parts.append("| product | verbs | indicators | quality |\n|---|---|---|---|\n" + "".join(rows) + "\n")
    own = [(name, each) for name, each in connectors.items() if each.own_actions()]
    parts.append("## Actions of single products\n\n| product | actions |\n|---|---|\n")
    parts += [
        f"| {link(name, each)} | {', '.join(f'`{spec.name}`' for spec in each.own_actions())} |\n" for name, each in own
    ]
    parts.append("\n## Least privileges\n\n| product | what it has to grant |\n|---|---|\n")
    parts += [f"| {link(name, each)} | {'; '.join(each.least_privileges)} |\n" for name, each in connectors.items()]
    return "".join(parts)


def row(name: str, connector: type[Connector], capability: type[Capability]) -> str:
    supported = connector.supported()
    # get_host and the like are the engine's, over find_host.
    verbs = [spec.verb for spec in capability.specs() if not spec.marks.one_of]
    there = [verb for verb in verbs if f"{capability.capability_name}.{verb}" in supported]
    missing = [verb for verb in verbs if verb not in there]
    shown = (
        "all" if not missing else f"all but [{', '.join(missing)}]" if len(missing) < len(there) else ", ".join(there)
    )
    kinds = {kind for verb in there for kind in supported[f"{capability.capability_name}.{verb}"] or ()}
    return f"| {link(name, connector)} | {shown} | {', '.join(sorted(kinds))} | {quality(connector)} |\n"


def link(name: str, connector: type[Connector]) -> str:
    folder = connector.__module__.split(".")[1]
    return f"[{name}](../connectors/hikeshi_connectors/{folder}/README.md)"


def quality(connector: type[Connector]) -> str:
    checklist = checklist_of(connector)
    assert checklist is not None, connector.product
    exempt, todo = checklist.count("exempt"), checklist.count("todo")
    return f"{checklist.count('done')} done" + f", {exempt} exempt" * bool(exempt) + f", {todo} to do" * bool(todo)


def test_the_page_is_what_the_connectors_say() -> None:
    """Each product is in it, with its verbs, its quality and its privileges."""
    made = page(ours())
    if os.environ.get("HIKESHI_WRITE"):
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made


def test_every_connector_has_a_readme() -> None:
    """The page's links lead somewhere."""
    folders = {each.__module__.split(".")[1] for each in ours().values()}
    assert [
        name for name in sorted(folders) if not (ROOT / "connectors/hikeshi_connectors" / name / "README.md").exists()
    ] == []
