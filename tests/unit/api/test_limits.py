"""Rate limits: generous at once, firm in the long run, and nobody pays for another's calls."""

from uuid import UUID, uuid4

import pytest

from api.command.limits import RateLimiter
from policy.codes import Code
from policy.model import Actor, ActorType, Role
from runtime.settings import Settings, load_settings

TICKET = UUID(int=1)
LIMITS = {
    "DISPATCH_RATE_LIMIT_ACTOR_PER_MINUTE": "60",
    "DISPATCH_RATE_LIMIT_TOOL_PER_MINUTE": "30",
    "DISPATCH_RATE_LIMIT_TICKET_PER_MINUTE": "12",
    "DISPATCH_RATE_LIMIT_BURST_SECONDS": "20",
}


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds it shows."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def settings(**environ: str) -> Settings:
    return load_settings({**LIMITS, **environ})[0]


def actor(name: str = "agent-1", tenant: str = "default") -> Actor:
    return Actor(actor_id=name, actor_role=Role.AGENT, actor_type=ActorType.AGENT, tenant_id=tenant)


def passed(limiter: RateLimiter, calls: int, **what: object) -> int:
    """Return how many of so many calls get through."""
    who, tool, ticket = what.get("who", actor()), what.get("tool", "a"), what.get("ticket")
    assert isinstance(who, Actor)
    assert isinstance(tool, str)
    assert ticket is None or isinstance(ticket, UUID)
    return sum(limiter.spend(who, tool, ticket) is None for _ in range(calls))


def test_a_burst_passes_and_the_next_call_waits(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    assert passed(limiter, 50, ticket=TICKET) == 4
    denial = limiter.spend(actor(), "a", TICKET)
    assert denial is not None
    assert (denial.code, denial.status) == (Code.RATE_LIMITED, 429)
    assert denial.details == {"limit": "ticket", "retry_after_seconds": 5}


def test_waiting_as_told_is_enough(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    passed(limiter, 50, ticket=TICKET)
    clock.now += 4.9
    assert limiter.spend(actor(), "a", TICKET) is not None
    clock.now += 0.1
    assert limiter.spend(actor(), "a", TICKET) is None
    assert limiter.spend(actor(), "a", TICKET) is not None


def test_each_limit_holds_by_itself(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    assert passed(limiter, 50, tool="a") == 10
    assert passed(limiter, 50, tool="b") == 10
    assert passed(limiter, 50, tool="c") == 0
    denial = limiter.spend(actor(), "c", None)
    assert denial is not None
    assert denial.details["limit"] == "actor"


def test_a_refused_call_costs_nothing(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    assert passed(limiter, 1000, ticket=TICKET) == 4
    assert passed(limiter, 50, ticket=UUID(int=2)) == 4
    assert passed(limiter, 50) == 2


def test_another_actor_tenant_or_ticket_is_not_held_up(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    passed(limiter, 1000, ticket=TICKET)
    assert passed(limiter, 1, ticket=TICKET, who=actor("dispatcher-1")) == 1
    assert passed(limiter, 1, ticket=TICKET, who=actor(tenant="other")) == 1
    assert passed(limiter, 1, ticket=UUID(int=2)) == 1


def test_nothing_accrues_beyond_the_burst(clock: Clock) -> None:
    limiter = RateLimiter(settings(), clock)
    clock.now += 86_400
    assert passed(limiter, 50, ticket=TICKET) == 4
    clock.now += 86_400
    assert passed(limiter, 50, ticket=TICKET) == 4


def test_zero_is_no_limit_and_off_is_none_at_all(clock: Clock) -> None:
    no_ticket_limit = RateLimiter(settings(DISPATCH_RATE_LIMIT_TICKET_PER_MINUTE="0"), clock)
    assert passed(no_ticket_limit, 50, ticket=TICKET) == 10
    off = RateLimiter(settings(DISPATCH_RATE_LIMITS="off"), clock)
    assert passed(off, 5000, ticket=TICKET) == 5000


def test_the_defaults_let_a_busy_agent_work(clock: Clock) -> None:
    limiter = RateLimiter(Settings(), clock)
    assert passed(limiter, 100, ticket=TICKET) == 100
    assert passed(limiter, 1000, tool="ticket.create") == 1000


def test_buckets_that_are_full_again_are_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.command.limits.MOST_BUCKETS", 10)
    limiter = RateLimiter(settings(), clock)
    for _ in range(200):
        assert limiter.spend(actor(), "a", uuid4()) is None
        clock.now += 60
    assert len(limiter._buckets) <= 11  # noqa: SLF001  the memory is the point
