"""Capabilities: vendor-neutral verbs, the entities they speak of, and the catalogue of both. Pure."""

from hikeshi.capabilities.action import ActionSpec, Parameter, build_spec, change, kinds_of, notify, read, supports
from hikeshi.capabilities.assets import Assets
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.catalogue import Catalogue, Instance, Route, UnknownAction
from hikeshi.capabilities.cloud import Cloud
from hikeshi.capabilities.dns import Dns
from hikeshi.capabilities.edr import Edr
from hikeshi.capabilities.effect import Effect, Recovery
from hikeshi.capabilities.entities import (
    AccessKey,
    Account,
    Activity,
    Alert,
    ApiCall,
    Asset,
    Block,
    Connection,
    Entity,
    Group,
    Host,
    HostUser,
    Indicator,
    IndicatorKind,
    InstanceNetwork,
    IntelReport,
    Isolation,
    KeyState,
    LogEntry,
    Membership,
    Message,
    Model,
    NameQuery,
    Opinion,
    Sessions,
    Severity,
    Software,
    Ticket,
    User,
    VirtualMachine,
)
from hikeshi.capabilities.firewall import Firewall
from hikeshi.capabilities.identity import Identity
from hikeshi.capabilities.intel import Intel
from hikeshi.capabilities.messaging import Messaging
from hikeshi.capabilities.siem import Siem
from hikeshi.capabilities.ticketing import Ticketing

BUILT_IN: tuple[type[Capability], ...] = (
    Edr,
    Firewall,
    Dns,
    Identity,
    Messaging,
    Siem,
    Intel,
    Ticketing,
    Cloud,
    Assets,
)

__all__ = [
    "BUILT_IN",
    "AccessKey",
    "Account",
    "ActionSpec",
    "Activity",
    "Alert",
    "ApiCall",
    "Asset",
    "Assets",
    "Block",
    "Capability",
    "Catalogue",
    "Cloud",
    "Connection",
    "Dns",
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
    "InstanceNetwork",
    "Intel",
    "IntelReport",
    "Isolation",
    "KeyState",
    "LogEntry",
    "Membership",
    "Message",
    "Messaging",
    "Model",
    "NameQuery",
    "Opinion",
    "Parameter",
    "Recovery",
    "Route",
    "Sessions",
    "Severity",
    "Siem",
    "Software",
    "Ticket",
    "Ticketing",
    "UnknownAction",
    "User",
    "VirtualMachine",
    "build_spec",
    "change",
    "kinds_of",
    "notify",
    "read",
    "supports",
]
