"""How the contract kit calls Matrix."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState, Message
from hikeshi_connectors.matrix import Matrix
from hikeshi_connectors.matrix.simulator import BOT, MatrixSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROOM, EVENT = "!soc:hikeshi.test", "$event000001"
ASKED = {"run": "r-1", "path": "sure", "digest": "d" * 64}


def estate() -> EstateState:
    event = {"type": "m.room.message", "event_id": EVENT, "sender": BOT, "origin_server_ts": 1, "room_id": ROOM}
    event["content"] = {"msgtype": "m.text", "body": "Isolate?", "io.hikeshi.question": ASKED}
    return EstateState(
        "small",
        BASE,
        channels={ROOM: Channel(ROOM, "soc")},
        messages=[Message(BASE, ROOM, EVENT, "Isolate?")],
        product_state={"matrix": {"events": [event]}},
    )


def said(text: str):
    def expect(estate: Estate) -> bool:
        return [message.text for message in estate.messages[1:]] == [text]

    return expect


def asked(estate: Estate) -> bool:
    content = estate.product_state["matrix"]["events"][-1]["content"]
    html = content["formatted_body"]
    return content["io.hikeshi.question"] == ASKED and "&lt;PC-7&gt;" in html and "approve dddddddd" in html


def concluded(estate: Estate) -> bool:
    (message,) = estate.messages
    return "Approved by Mei" in message.text


CONTRACT = Contract(
    connector=Matrix,
    simulator=MatrixSimulator,
    estate=estate,
    volatile=("product_state",),
    cases=[
        Case(
            "messaging.post",
            {"channel": "#soc:hikeshi.test", "text": "a & <b>", "severity": "low"},
            expect=said("[LOW] a & <b>"),
        ),
        Case(
            "messaging.ask",
            {"channel": ROOM, "question": "Isolate <PC-7>?", "due_at": BASE, "targets": ["PC-7"], **ASKED},
            expect=asked,
        ),
        Case(
            "messaging.conclude",
            {"message": f"{ROOM}|{EVENT}", "question": "Isolate?", "outcome": "Approved by Mei."},
            expect=concluded,
        ),
        Case("matrix.replies", {}),
        Case("matrix.question_at", {"room": ROOM, "event": EVENT}),
    ],
    exempt={
        "pages_are_complete": "what is new is no list; tests of listening fill more than a page of it",
        "read_routes_are_minimal:GET /_matrix/client/v3/rooms/*/messages": "read where more is new than a sync gives",
        "read_routes_are_minimal:GET /_matrix/client/v3/rooms/*/joined_members": "read in encrypted rooms",
        "read_routes_are_minimal:POST /_matrix/client/v3/keys/query": "read in encrypted rooms",
        "plan_equals_what_is_sent": "the path of what is sent ends with an ID that follows from the run",
    },
)
