"""Approvals in chat: they are asked for in channels of Slack and Matrix, and decided by a button or a reply there."""

from hikeshi.chat.chat import Chat, chat_routes

__all__ = ["Chat", "chat_routes"]
