"""assignment.recommend: who is a candidate, how they are ranked, what is kept."""

from typing import Any
from uuid import UUID

import pytest

from policy.assignment.ranking import sorted_out
from policy.assignment.roster import RosterEntry
from policy.codes import Code
from policy.model import Site, State
from policy.rules.bundle import load_bundle
from policy.ticket.writes import InsertRecommendation
from tests.unit.facts_builder import (
    allowed,
    command,
    decided,
    denied,
    facts,
    judge,
    technician,
    ticket,
)
from tests.unit.payloads import ACCOUNT, NEW_IDS, SITE

OTHER = UUID(int=90)


def recommend(*roster: RosterEntry, region: str | None = "CA", **payload: Any) -> dict[str, Any]:  # noqa: ANN401
    site = Site(id=SITE, account_id=ACCOUNT, region=region, timezone="America/Los_Angeles")
    body = {"service_type": "door_v2", **payload}
    decision = judge("assignment.recommend", State.SCHEDULED, body, roster=roster, site=site)
    answer = allowed(decision).body
    assert answer is not None
    return dict(answer)


def numbered(number: int, **fields: Any) -> RosterEntry:  # noqa: ANN401  columns
    return technician(id=UUID(int=number), name=f"T{number}", **fields)


def order(answer: dict[str, Any]) -> list[int]:
    return [UUID(each["tech_id"]).int for each in answer["recommendations"]]


def test_candidates_are_ranked_by_score_load_zone_and_id() -> None:
    roster = (
        numbered(6, active_load=2),
        numbered(5, active_load=20),
        numbered(4, home_region="NV", regions=("CA",)),
        numbered(3),
        numbered(2, skills=("DOOR_V9",)),
    )
    answer = recommend(*roster)
    assert order(answer) == [2, 3, 6, 4, 5]
    scores = [each["score"] for each in answer["recommendations"]]
    assert scores == [1200, 1200, 1180, 1000, 1000]
    assert answer["recommendations"][3]["matches"] == {
        "capability": True,
        "zone": False,
        "active_load": 0,
        "distance_bucket": 1,
        "available": None,
        "overlapping_ticket_ids": [],
    }
    assert answer["snapshot_id"] == str(NEW_IDS[0])


def test_the_snapshot_keeps_what_was_recommended() -> None:
    payload = {"service_type": "x", "recommendation_limit": 1}
    roster = (numbered(2, home_region=None, regions=("AZ", "CA")), numbered(3, active_load=9))
    effects = allowed(judge("assignment.recommend", State.SCHEDULED, payload, roster=roster))
    (snapshot,) = effects.writes
    assert isinstance(snapshot, InsertRecommendation)
    assert snapshot.recommended_tech_id == UUID(int=2)
    assert snapshot.candidates == [
        {
            "tech_id": str(UUID(int=2)),
            "tech_name": "T2",
            "zone": "CA",
            "active_load": 0,
            "quality_signal": 0,
            "service_match": True,
            "zone_match": True,
            "score": 1200,
            "distance_bucket": 0,
        }
    ]
    assert effects.audit["candidate_count"] == 2


def test_the_excluded_are_listed_with_all_their_reasons() -> None:
    unfit = numbered(9, active=False, skills=("GLASS",), home_region="TX")
    assert recommend(numbered(2), unfit)["excluded"] == [
        {
            "tech_id": str(unfit.id),
            "tech_name": "T9",
            "reasons": [
                *("TECH_UNAVAILABLE", "ASSIGNMENT_CAPABILITY_MISMATCH"),
                "ASSIGNMENT_ZONE_MISMATCH",
            ],
        }
    ]


def test_all_the_excluded_are_listed_by_id_whatever_excludes_them() -> None:
    first, last = (numbered(number, skills=("GLASS",)) for number in (1, 9))
    fit = (numbered(2), numbered(5, overlapping_ticket_ids=(OTHER,)))
    unfit = sorted_out((first, last), "DOOR", "CA").unfit
    rules = load_bundle({"assignment": {"overlaps": "exclude"}})
    known = facts(ticket(State.SCHEDULED), roster=fit, unfit=unfit)
    body = allowed(decided(rules, known, command("assignment.recommend"))).body
    assert body is not None
    assert [UUID(each["tech_id"]).int for each in body["excluded"]] == [1, 5, 9]


def test_a_blank_region_fits_everyone() -> None:
    answer = recommend(numbered(2, home_region=None), region=" ")
    assert answer["recommendations"][0]["score"] == 1200


def test_a_recommendation_needs_a_schedule_and_a_candidate() -> None:
    unscheduled = ticket(State.READY_TO_SCHEDULE, scheduled_end=None)
    context = {"ticket_state": "READY_TO_SCHEDULE", "site_region": "CA"}
    denial = denied(judge("assignment.recommend", ticket=unscheduled))
    assert denial.code is Code.ASSIGNMENT_RECOMMENDATION_CONTEXT_MISSING
    assert denial.details == context
    denial = denied(judge("assignment.recommend", State.READY_TO_SCHEDULE, roster=()))
    assert denial.code is Code.ASSIGNMENT_RECOMMENDATION_UNAVAILABLE
    extras = {"service_type": "DOOR_WONT_LATCH", "recommendation_limit": 5}
    assert denial.details == context | extras


@pytest.mark.parametrize("rule", ["report", "rank", "exclude"])
def test_overlaps_rank_or_exclude_only_if_the_bundle_says_so(rule: str) -> None:
    busy = numbered(2, overlapping_ticket_ids=(OTHER,))
    rules = load_bundle({"assignment": {"overlaps": rule}})
    job = ticket(State.SCHEDULED)
    known = facts(job, roster=(busy, numbered(3)))
    body = allowed(decided(rules, known, command("assignment.recommend"))).body
    assert body is not None
    expected = {"report": [2, 3], "rank": [3, 2], "exclude": [3]}
    assert order(dict(body)) == expected[rule]
    assert len(body["excluded"]) == (rule == "exclude")
