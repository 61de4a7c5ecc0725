"""Cloudflare: Gateway lists, account lists and IP access rules, by the API v4."""

from hikeshi_connectors.cloudflare.connector import Cloudflare

__all__ = ["Cloudflare"]
