"""A project: a folder with hikeshi.yaml, its playbooks, and the state Hikeshi keeps beside them."""

from hikeshi.project.config import Config, ProjectError, load_config
from hikeshi.project.people import Person, allowed, may_decide

__all__ = ["Config", "Person", "ProjectError", "allowed", "load_config", "may_decide"]
