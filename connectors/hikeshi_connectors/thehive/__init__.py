"""TheHive 5: cases as tickets, and indicators as their observables."""

from hikeshi_connectors.thehive.connector import TheHive
from hikeshi_connectors.thehive.observable import Observable

__all__ = ["Observable", "TheHive"]
