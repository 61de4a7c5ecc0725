"""Diagrams, drawn in the browser by Mermaid as this server has it. What they show stands beside them as text."""

from __future__ import annotations

from nicegui import ui

from hikeshi.console.elements import tag

__all__ = ["Drawing", "drawing"]

# `strict` lets no text of a diagram be a script or a link; whoever writes the text sees to that it is no markup either.
_CONFIG = {
    "securityLevel": "strict",
    "startOnLoad": False,
    "htmlLabels": True,
    "theme": "base",
    "themeVariables": {"fontFamily": "inherit", "fontSize": "14px"},
    "flowchart": {
        "htmlLabels": True,
        "wrappingWidth": 170,
        "useMaxWidth": False,
        "curve": "basis",
        "nodeSpacing": 28,
        "rankSpacing": 32,
    },
    "maxTextSize": 200_000,
    "maxEdges": 2_000,
}
Drawing = ui.mermaid


def drawing(text: str, name: str) -> Drawing:
    """Draw Mermaid text; `name` says what it is to who does not see it."""
    with (
        tag("div", "", "drawing", tabindex="0", role="region", aria_label=name),
        tag("div", role="img", aria_label=name),
    ):
        return ui.mermaid(text, config=_CONFIG)
