"""The connectors of the project, what each can do, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.console.elements import tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.documents.connectors import instances_of, product_document

__all__ = ["connectors_page"]


async def connectors_page(page: Page) -> None:
    """Build the page."""
    app, say = page.visitor.app, page.say
    page.title(say("place.connectors"), about=say("connectors.about"))
    instances = instances_of(app)
    products = {name: product_document(app, name) for name in app.registry.products()}
    if not instances:
        tag("p", say("connectors.nothing"), "empty")
    with tag("div", "", "cards tiles"):
        for each in instances:
            with tag("article", "", "card"):
                problems = [
                    text.rpartition("hikeshi.yaml: ")[2] for text in app.wrong_settings([each["name"]], secrets=True)
                ]
                _instance(page, each, products.get(each["product"]), problems)
    unused = [name for name in products if name not in {each["product"] for each in instances}]
    if unused:
        tag("h2", say("connectors.unused"))
        tag("p", ", ".join(unused), "code")


def _instance(page: Page, instance: Mapping[str, Any], product: Mapping[str, Any] | None, problems: list[str]) -> None:
    say = page.say
    with tag("div", "", "card-head"):
        tag("h2", instance["name"], "card-title")
        mark(say, "failed" if problems else "ok")
    tag("p", instance["product"], "code dim")
    for text in problems:
        tag("p", text, "warn")
    if product is None:
        return
    if product["error"]:
        tag("p", product["error"], "warn")
    with tag("details"):
        tag("summary", say("connectors.actions", count=len(product["actions"])))
        with tag("ul", "", "plain"):
            for each in product["actions"]:
                tag("li", each, "code")
    if product["least_privileges"]:
        with tag("details"):
            tag("summary", say("connectors.privileges"))
            with tag("ul", "", "plain"):
                for each in product["least_privileges"]:
                    tag("li", str(each))
