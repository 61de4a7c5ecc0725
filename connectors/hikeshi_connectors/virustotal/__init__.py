"""VirusTotal: what seventy scanners think of an indicator."""

from hikeshi_connectors.virustotal.connector import VirusTotal

__all__ = ["VirusTotal"]
