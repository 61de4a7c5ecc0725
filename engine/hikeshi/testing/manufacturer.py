"""The manufacturer that the estates are about: its sites and machines, its people, and what happened to it.

A remote-management tool that nobody planned appears on a file server at headquarters and talks to a
command-and-control address. Two devices in Canada and four in Estonia talk to it as well. It began 36 hours before on
a control module at the Estonian plant, which talks to another address and is only found by the hash of the tool.

Every name here is invented, every public address is from the ranges reserved for documentation (RFC 5737, RFC 2606).
Tests and demos may rely on the constants.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from hikeshi.testing.estate import OsFamily, Severity

EPOCH = datetime(2025, 11, 21, 11, 30, tzinfo=UTC)
"""The base time of estates that are not given one: a Friday, 20:30 in Tokyo."""

NAME = "Minato Seiki"
DOMAIN = "minato.example"

C2_ADDRESS = "203.0.113.66"
C2_DOMAIN = "sync.fleetmate.example"
SECOND_C2_ADDRESS = "198.51.100.23"
SECOND_C2_DOMAIN = "cdn.fleetmate-update.example"
C2_PORT = 443
REMOTE_TOOL = "FleetMate"
MALWARE_SHA256 = hashlib.sha256(b"a remote-management tool that nobody planned").hexdigest()
MALWARE_PATH = r"C:\ProgramData\FleetMate\fmagent.exe"

FILE_SERVER = "fs-tyo-01"
CANADIAN_DEVICES = ("pc-yyc-014", "lt-yyc-006")
ESTONIAN_DEVICES = ("pc-tll-003", "pc-tll-009", "lt-tll-004", "srv-tll-mes-01")
PATIENT_ZERO = "iot-tll-ctl-07"
INFECTED_HOSTS = (FILE_SERVER, *CANADIAN_DEVICES, *ESTONIAN_DEVICES, PATIENT_ZERO)
SHARED_NAMES = ("build-01", "pc-reception", "lt-loaner-01")
HOSTILE_NAMES = ("{{ 7*7 }}", "['*']", "{% for x in range(10**9) %}x{% endfor %}", "*", 'fs-tyo-01\n"}],"ids":["*"]')
"""Host names as attackers would choose them; alerts with these names are in the estate, hosts are not."""


@dataclass(frozen=True, slots=True)
class Site:
    code: str
    place: str
    network: str
    weight: int


SITES = {
    "tyo": Site("tyo", "Tokyo headquarters", "10.10", 46),
    "ngo": Site("ngo", "Nagoya plant", "10.12", 24),
    "yyc": Site("yyc", "Calgary office", "10.30", 14),
    "tll": Site("tll", "Tallinn plant", "10.40", 16),
}

# Name, site, kind, OS, OS version, tags. Some names occur twice: that is on purpose.
FIXED_HOSTS: list[tuple[str, str, str, OsFamily, str, set[str]]] = [
    ("dc-tyo-01", "tyo", "domain_controller", "windows", "Windows Server 2022", {"domain-controller", "tier-0"}),
    ("dc-tyo-02", "tyo", "domain_controller", "windows", "Windows Server 2022", {"domain-controller", "tier-0"}),
    ("dc-tll-01", "tll", "domain_controller", "windows", "Windows Server 2019", {"domain-controller", "tier-0"}),
    ("soc-tyo-01", "tyo", "server", "linux", "Debian 12", {"server", "security-operations"}),
    (FILE_SERVER, "tyo", "file_server", "windows", "Windows Server 2019", {"server", "file-server"}),
    ("fs-tyo-02", "tyo", "file_server", "windows", "Windows Server 2022", {"server", "file-server"}),
    ("fs-ngo-01", "ngo", "file_server", "windows", "Windows Server 2019", {"server", "file-server"}),
    ("mail-tyo-01", "tyo", "server", "windows", "Windows Server 2019", {"server", "mail", "internet-facing"}),
    ("vpn-tyo-01", "tyo", "server", "linux", "Ubuntu 22.04", {"server", "vpn", "internet-facing"}),
    ("build-01", "ngo", "build_server", "linux", "Ubuntu 24.04", {"server", "build"}),
    ("build-01", "tll", "build_server", "linux", "Ubuntu 22.04", {"server", "build"}),
    ("pc-reception", "tyo", "workstation", "windows", "Windows 11 23H2", {"shared"}),
    ("pc-reception", "yyc", "workstation", "windows", "Windows 11 23H2", {"shared"}),
    ("lt-loaner-01", "ngo", "laptop", "windows", "Windows 11 23H2", {"shared"}),
    ("lt-loaner-01", "tll", "laptop", "macos", "macOS 14.6", {"shared"}),
    ("pc-yyc-014", "yyc", "workstation", "windows", "Windows 10 22H2", set()),
    ("lt-yyc-006", "yyc", "laptop", "windows", "Windows 11 23H2", set()),
    ("pc-tll-003", "tll", "workstation", "windows", "Windows 10 22H2", set()),
    ("pc-tll-009", "tll", "workstation", "windows", "Windows 10 22H2", set()),
    ("lt-tll-004", "tll", "laptop", "windows", "Windows 11 23H2", set()),
    ("srv-tll-mes-01", "tll", "server", "windows", "Windows Server 2016", {"server", "production"}),
    (PATIENT_ZERO, "tll", "control_module", "windows", "Windows 10 IoT 1809", {"production", "ot"}),
    ("iot-tll-ctl-08", "tll", "control_module", "windows", "Windows 10 IoT 1809", {"production", "ot"}),
]

# The rest of the hosts: prefix of the name, kind, OS, OS version, weight.
FILLERS: list[tuple[str, str, OsFamily, str, int]] = [
    ("pc", "workstation", "windows", "Windows 11 23H2", 50),
    ("lt", "laptop", "windows", "Windows 11 23H2", 28),
    ("mb", "laptop", "macos", "macOS 15.1", 10),
    ("srv", "server", "linux", "Debian 12", 12),
]

# Family names and given names by site.
PEOPLES_NAMES = {
    "tyo": (
        ["Sato", "Suzuki", "Takahashi", "Tanaka", "Watanabe", "Ito", "Yamamoto", "Nakamura", "Kobayashi", "Kato"],
        ["Kenji", "Yuki", "Haruto", "Aoi", "Sakura", "Ren", "Hina", "Daiki", "Mei", "Takumi"],
    ),
    "ngo": (
        ["Yoshida", "Yamada", "Sasaki", "Matsumoto", "Inoue", "Kimura", "Hayashi", "Shimizu", "Mori", "Abe"],
        ["Akira", "Naoko", "Shota", "Emi", "Kaito", "Rin", "Hiroshi", "Yui", "Satoshi", "Nana"],
    ),
    "yyc": (
        ["Tremblay", "MacDonald", "Singh", "Campbell", "Roy", "Wilson", "Nguyen", "Fraser", "Gagnon", "Clarke"],
        ["Emma", "Liam", "Olivia", "Noah", "Priya", "Lucas", "Chloe", "Ethan", "Amelia", "Jack"],
    ),
    "tll": (
        ["Tamm", "Saar", "Sepp", "Mägi", "Kask", "Kukk", "Rebane", "Ilves", "Pärn", "Koppel"],
        ["Kadri", "Rasmus", "Liis", "Martin", "Kristiina", "Siim", "Anneli", "Tanel", "Maarja", "Andres"],
    ),
}

# Department and title.
JOBS = [
    ("Production", "Line Engineer"),
    ("Production", "Plant Supervisor"),
    ("Finance", "Accountant"),
    ("Sales", "Account Manager"),
    ("Engineering", "Design Engineer"),
    ("Engineering", "Software Engineer"),
    ("Human Resources", "HR Specialist"),
    ("Logistics", "Planner"),
    ("IT", "Systems Administrator"),
]

# The destinations of an ordinary working day: domain, address, app, weight.
ORDINARY_DESTINATIONS = [
    ("mail.collab.example", "192.0.2.10", "office", 30),
    ("files.collab.example", "192.0.2.11", "office", 22),
    ("update.vendor.example", "192.0.2.40", "software-update", 14),
    ("www.parts.example", "192.0.2.77", "web-browsing", 18),
    ("erp.minato.example", "192.0.2.120", "ssl", 12),
    ("time.example", "192.0.2.123", "ntp", 4),
]

# Severity, title, ATT&CK technique.
BACKGROUND_ALERTS: list[tuple[Severity, str, str]] = [
    ("low", "Potentially unwanted program removed", "T1204.002"),
    ("low", "Port scan blocked", "T1046"),
    ("informational", "New local administrator", "T1136.001"),
    ("medium", "Suspicious PowerShell command line", "T1059.001"),
    ("medium", "Password spray against one account", "T1110.003"),
    ("low", "Macro in a document from the internet", "T1566.001"),
    ("high", "Credential access tool blocked", "T1003.001"),
]
