"""How the contract kit calls e-mail."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState, User
from hikeshi_connectors.email_smtp import Email
from hikeshi_connectors.email_smtp.simulator import EmailSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
THREAD = "<hikeshi.1@corp.example>"


def estate() -> EstateState:
    person = User("u-1", "jo@corp.example", "jo", "Jo", "IT", "Admin", "hq", BASE, mail="jo@corp.example")
    return EstateState("small", BASE, users={"u-1": person}, channels={"C0SOC00001": Channel("C0SOC00001", "soc")})


def mailed(to: str, text: str, thread: str | None = None):
    def expect(estate: Estate) -> bool:
        (mail,) = estate.messages
        return (mail.channel, mail.text, mail.thread_ts) == (to, text, thread)

    return expect


ANOTHER_PROTOCOL = "SMTP has no such answer; test_smtp_dialogue fixes what its replies mean"

CONTRACT = Contract(
    connector=Email,
    simulator=EmailSimulator,
    estate=estate,
    cases=[
        Case(
            "messaging.post",
            {"channel": "#soc", "text": "host isolated\nby Jo", "severity": "low", "thread": THREAD},
            expect=mailed("soc@corp.example", "Re: [LOW] host isolated\nhost isolated\nby Jo\n", THREAD),
        ),
        Case(
            "messaging.page",
            {"to": "soc_oncall", "text": "come"},
            expect=mailed("soc-oncall@corp.example", "[HIGH] come\ncome\n"),
        ),
        Case(
            "messaging.message_person",
            {"email": "jo@corp.example", "text": "grüß Gott 火"},
            expect=mailed("jo@corp.example", "grüß Gott 火\ngrüß Gott 火\n"),
        ),
    ],
    exempt={
        "status_409": ANOTHER_PROTOCOL,
        "status_500": "a mail server that refuses has not taken the mail: not applied, for certain",
        "status_503": "a mail server that refuses has not taken the mail: not applied, for certain",
        "rate_limit_hint": "SMTP has no way to say when to come back",
        "large_body": ANOTHER_PROTOCOL,
    },
)
