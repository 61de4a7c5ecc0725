"""Worlds whose playbooks are drawn by Hypothesis, which makes those of a failure smaller."""

from dice import DrawnDice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import simulate_drawn


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_promise_is_broken_in_a_drawn_world(data: st.DataObject) -> None:
    """The playbooks and the schedule are drawn; what the world does goes by numbers drawn with them."""
    verdict = simulate_drawn(DrawnDice(data.draw))

    assert not verdict.broken, "\n".join([*verdict.playbooks, *verdict.lines[-60:], *map(str, verdict.broken)])
