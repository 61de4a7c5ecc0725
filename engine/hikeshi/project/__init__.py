"""A project: a folder with hikeshi.yaml, its playbooks, and the state Hikeshi keeps beside them."""

from hikeshi.project.config import Config, ProjectError, load_config

__all__ = ["Config", "ProjectError", "load_config"]
