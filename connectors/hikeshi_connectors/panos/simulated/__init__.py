"""The parts of the simulated firewall."""
