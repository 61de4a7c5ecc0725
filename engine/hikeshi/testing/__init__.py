"""Fakes, simulators and kits for testing playbooks and connectors."""
