"""Trend Vision One."""

from hikeshi_connectors.vision_one.connector import VisionOne

__all__ = ["VisionOne"]
