"""Capabilities: vendor-neutral verbs, the entities they speak of, and the catalogue of both. Pure."""

from hikeshi.capabilities.action import ActionSpec, Parameter, build_spec, change, kinds_of, notify, read, supports
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.catalogue import Catalogue, Instance, Route, UnknownAction
from hikeshi.capabilities.edr import Edr
from hikeshi.capabilities.effect import Effect, Recovery
from hikeshi.capabilities.entities import (
    Account,
    Activity,
    Alert,
    Block,
    Connection,
    Entity,
    Group,
    Host,
    HostUser,
    Indicator,
    IndicatorKind,
    Isolation,
    Membership,
    Message,
    Model,
    Sessions,
    Severity,
    Ticket,
    User,
)
from hikeshi.capabilities.firewall import Firewall
from hikeshi.capabilities.identity import Identity
from hikeshi.capabilities.messaging import Messaging
from hikeshi.capabilities.ticketing import Ticketing

BUILT_IN: tuple[type[Capability], ...] = (Edr, Firewall, Identity, Messaging, Ticketing)

__all__ = [
    "BUILT_IN",
    "Account",
    "ActionSpec",
    "Activity",
    "Alert",
    "Block",
    "Capability",
    "Catalogue",
    "Connection",
    "Edr",
    "Effect",
    "Entity",
    "Firewall",
    "Group",
    "Host",
    "HostUser",
    "Identity",
    "Indicator",
    "IndicatorKind",
    "Instance",
    "Isolation",
    "Membership",
    "Message",
    "Messaging",
    "Model",
    "Parameter",
    "Recovery",
    "Route",
    "Sessions",
    "Severity",
    "Ticket",
    "Ticketing",
    "UnknownAction",
    "User",
    "build_spec",
    "change",
    "kinds_of",
    "notify",
    "read",
    "supports",
]
