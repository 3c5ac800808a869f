"""Every command publishes the JSON Schema of its payload."""

from typing import Any

import pytest

from policy.command.effects import Denial
from policy.command.payload import parse_payload
from policy.command.registry import command_tool
from policy.reads.schemas import payload_schemas
from tests.unit.facts_builder import bundle
from tests.unit.payloads import PAYLOADS

SCHEMAS = payload_schemas(bundle().commands)
CLOSED = {"ops.autonomy.pause", "ops.autonomy.rollback", "ticket.reclassify", "qa.return"}


@pytest.mark.parametrize("tool", SCHEMAS)
def test_a_schema_names_the_fields_and_what_is_required(tool: str) -> None:
    schema: dict[str, Any] = SCHEMAS[tool]
    fields = command_tool(tool).payload.model_fields
    assert set(schema.get("properties", {})) == set(fields)
    required = {name for name, field in fields.items() if field.is_required()}
    assert set(schema.get("required", ())) == required <= set(PAYLOADS[tool])


@pytest.mark.parametrize("tool", SCHEMAS)
def test_only_the_closed_payloads_forbid_further_keys(tool: str) -> None:
    assert (SCHEMAS[tool].get("additionalProperties") is False) is (tool in CLOSED)


@pytest.mark.parametrize("tool", SCHEMAS)
def test_null_counts_as_missing_in_every_optional_field_and_its_schema(tool: str) -> None:
    optional = set(SCHEMAS[tool].get("properties", {})) - set(SCHEMAS[tool].get("required", ()))
    for name in optional:
        assert {"type": "null"} in SCHEMAS[tool]["properties"][name]["anyOf"], name
    nulls = dict.fromkeys(optional - set(PAYLOADS[tool]))
    assert not isinstance(parse_payload(bundle(), tool, {**nulls, **PAYLOADS[tool]}), Denial)
