"""Putting a service together and serving it: worker, triggers, API and console in one process."""
