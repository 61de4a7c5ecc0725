"""Tokens: made once, stored as a hash, good for a time, taken away at once."""

from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.access.projection import AccessProjection
from hikeshi.access.roles import MAY, Permission, Role
from hikeshi.access.tokens import PREFIX, NotKnown, Tokens
from hikeshi.testing.memory_journal import MemoryJournal


class Place:
    """A journal in memory, a clock that somebody turns, and people who come and go."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.people = {"mei": "Mei Kobayashi"}
        self.journal = MemoryJournal([AccessProjection()])
        self.tokens = Tokens(self.journal, lambda: self.now, lambda: self.people)

    @property
    def written(self) -> str:
        return "".join(str(record.data) for record in self.journal.read("access"))


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_token_says_who_comes_in_and_what_they_may(place: Place) -> None:
    """A person acts under their ID, a program under the token's name."""
    _, of_mei = await place.tokens.make("phone", [Role.RESPONDER], good_for_s=60, by="root", person="mei")
    _, of_program = await place.tokens.make("report", [Role.VIEWER], good_for_s=60, by="root")

    mei, program = place.tokens.identify(of_mei), place.tokens.identify(of_program)

    assert (mei.actor, mei.person, mei.shown) == ("mei", "mei", "Mei Kobayashi")
    assert (program.actor, program.person) == ("token:report", None)
    assert mei.may(Permission.RUN)
    assert not mei.may(Permission.DECIDE)
    assert program.permissions == MAY[Role.VIEWER]


@pytest.mark.safety(26)
async def test_the_secret_is_never_stored(place: Place) -> None:
    """Only its hash is, by which nobody comes in."""
    token, text = await place.tokens.make("x", [Role.VIEWER], good_for_s=60, by="root")

    assert text.startswith(PREFIX)
    assert text.split("_")[2] not in place.written
    stored = place.journal.query("SELECT hash FROM tokens")[0]["hash"]
    assert stored in place.written
    assert token.token in text
    with pytest.raises(NotKnown):
        place.tokens.identify(stored)


@pytest.mark.safety(31)
async def test_what_is_over_opens_nothing(place: Place) -> None:
    """Expired, revoked, of somebody who left, of another kind, or never made."""
    _, expired = await place.tokens.make("a", [Role.VIEWER], good_for_s=60, by="root")
    gone, revoked = await place.tokens.make("b", [Role.VIEWER], good_for_s=3600, by="root")
    _, left = await place.tokens.make("c", [Role.VIEWER], good_for_s=3600, by="root", person="mei")
    _, session = await place.tokens.make("d", [Role.VIEWER], good_for_s=3600, by="root", kind="session")
    await place.tokens.revoke(gone.token, by="aya")
    place.people = {}
    place.now += timedelta(seconds=60)

    for text in (expired, revoked, left, session, left[:-1] + "-", "", "hik_", left.upper(), f" {left}", f"{left}\n"):
        with pytest.raises(NotKnown):
            place.tokens.identify(text)
    assert place.tokens.identify(session, "session").actor == "token:d"
    assert place.tokens.get(gone.token).revoked_by == "aya"


async def test_a_token_is_good_to_the_last_moment(place: Place) -> None:
    """And not at the moment at which it expires."""
    _, text = await place.tokens.make("a", [Role.VIEWER], good_for_s=60, by="root")
    place.now += timedelta(seconds=59.999)
    assert place.tokens.identify(text).actor == "token:a"


async def test_sessions_end_with_the_token_they_began_with(place: Place) -> None:
    """Who revokes a token that was stolen ends everything that was begun with it."""
    token, _ = await place.tokens.make("a", [Role.VIEWER], good_for_s=3600, by="root")
    _, session = await place.tokens.make(
        "s", [Role.VIEWER], good_for_s=3600, by="root", kind="session", parent=token.token
    )
    _, other = await place.tokens.make("o", [Role.VIEWER], good_for_s=3600, by="root", kind="session")

    await place.tokens.revoke(token.token, by="root")

    with pytest.raises(NotKnown):
        place.tokens.identify(session, "session")
    assert place.tokens.identify(other, "session")


@pytest.mark.parametrize(
    ("roles", "good_for_s", "person", "said"),
    [
        ([], 60, None, "needs a role"),
        ([Role.VIEWER], 0, None, "more than nothing"),
        ([Role.VIEWER], 367 * 86_400, None, "a year at most"),
        ([Role.VIEWER], 60, "zoe", "no person 'zoe'"),
        ([Role.APPROVER], 60, None, "can't approve"),
    ],
)
async def test_a_token_that_makes_no_sense_is_not_made(place: Place, roles, good_for_s, person, said) -> None:
    """And nothing is written."""
    with pytest.raises(ValueError, match=said):
        await place.tokens.make("x", roles, good_for_s=good_for_s, by="root", person=person)
    assert place.written == ""


async def test_revoking_what_is_not_there_says_so(place: Place) -> None:
    """And revoking twice keeps who was first."""
    with pytest.raises(NotKnown, match="token list"):
        await place.tokens.revoke("none", by="root")
    token, _ = await place.tokens.make("a", [Role.VIEWER], good_for_s=60, by="root")
    await place.tokens.revoke(token.token, by="aya")
    assert (await place.tokens.revoke(token.token, by="ken")).revoked_by == "aya"


def test_no_role_but_an_approver_decides_and_looking_is_for_all() -> None:
    """Rules that the table must not lose by an oversight."""
    assert [role for role, may in MAY.items() if Permission.DECIDE in may] == [Role.APPROVER]
    assert all(Permission.LOOK in may for may in MAY.values())
    assert [role for role, may in MAY.items() if Permission.PEOPLE in may] == [Role.ADMIN]
    assert Permission.RUN not in MAY[Role.VIEWER] | MAY[Role.APPROVER] | MAY[Role.ENGINEER]
