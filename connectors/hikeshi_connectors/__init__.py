"""Connectors that ship with Hikeshi, one folder for each product."""
