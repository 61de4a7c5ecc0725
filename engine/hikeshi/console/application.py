"""Adds the console to the API's application."""

from __future__ import annotations

from fastapi import FastAPI

from hikeshi.console.login import login_routes
from hikeshi.service.service import Service

__all__ = ["add_console"]


def add_console(api: FastAPI, service: Service) -> None:
    """Add every page of the console. Whoever serves it puts it behind `ConsoleDoor`."""
    api.router.routes.extend(login_routes(service))
