"""Lines agree with themselves, totals with every reader, and cells with every spreadsheet."""

from decimal import Decimal
from typing import Any

import pytest

from policy.billing.invoice import Line, safe_cell
from policy.codes import Code
from policy.command.effects import Denial, Effects
from policy.json_levels import SAFE_INTEGER
from policy.model import State
from tests.unit.facts_builder import judge, ticket


def billed(*lines: dict[str, Any]) -> Effects | Denial:
    named = [{"description": "x", **line} for line in lines]
    job = ticket(state=State.VERIFIED)
    return judge("billing.generate_invoice", payload={"lines": named}, ticket=job)


def test_an_amount_for_several_shows_the_quantity_and_the_price_of_one() -> None:
    line = Line(description="x", quantity=3, amount_cents=3000)
    assert (line.quantity, line.price, line.charged) == (Decimal(3), 1000, 3000)


@pytest.mark.parametrize(
    "line",
    [
        {"quantity": 3, "amount_cents": 1000},
        {"quantity": 2, "unit_price_cents": 500, "amount_cents": 1001},
        {"quantity": 0.001, "amount_cents": SAFE_INTEGER},
        {"kind": "TAX", "quantity": 7, "amount_cents": 100},
    ],
)
def test_a_quantity_that_does_not_give_the_amount_is_refused(line: dict[str, Any]) -> None:
    decision = billed(line)
    assert isinstance(decision, Denial)
    assert (decision.status, decision.code) == (400, Code.INVALID_REQUEST)


def test_a_total_above_what_every_reader_of_json_keeps_is_refused() -> None:
    most = {"amount_cents": SAFE_INTEGER}
    assert isinstance(billed(most), Effects)
    decision = billed(most, {"amount_cents": 1})
    assert isinstance(decision, Denial)
    assert (decision.status, decision.code) == (400, Code.INVALID_REQUEST)
    assert decision.details["validation_errors"][0]["path"] == "/lines"


@pytest.mark.parametrize("sign", "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212")
@pytest.mark.parametrize(
    "before", ["", " ", "\u200b", "\u200d\u2060", "\ufeff", "\u00ad", "\u3164", "\u034f", "\u202e"]
)
def test_no_cell_begins_with_a_sign_of_a_formula_however_it_is_written(
    before: str, sign: str
) -> None:
    assert safe_cell(f"{before}{sign}1+1").startswith("'")


@pytest.mark.parametrize("text", ["Türschließer", "\u200bStrike", "3 = 3", "", "\u200b", "(1)"])
def test_a_cell_that_is_no_formula_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


@pytest.mark.parametrize("text", ["\t=1", "\rx", "\nx"])
def test_a_cell_that_begins_with_a_control_is_quoted(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
