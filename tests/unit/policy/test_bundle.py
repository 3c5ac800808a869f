"""A bundle that is not whole does not load, and its hash tells every change."""

from pathlib import Path
from typing import Any

import pytest

from policy.canonical import canonical_bytes, sha256_hex
from policy.model import Role
from policy.rules.bundle import Bundle, BundleError, load_bundle
from policy.rules.templates import InvalidTemplateSetError, TemplateSet
from tests.unit.facts_builder import bundle

SURFACE = "86d7cddb95afb6543c949a7a31b5292f285b2576d9a815713c1c065190b9058a"
TEMPLATE = """
[[templates]]
incident_type = "{name}"
required_evidence_keys = {evidence}
required_checklist_keys = ["b", " a ", "a"]
"""


@pytest.mark.parametrize(
    "change",
    [
        {"sla": {"warning_minutes": "soon"}},
        {"intake": {"identity_confidence_threshold": 101}},
        {"intake": {"sop_handoff_prompt": "no such word"}},
        {"intake": {"misspelt": 1}},
        {"phases": {"new": ["NEW"]}},
        {"phases": {"extra": ["NEW"]}},
        {"transitions": {"CLOSED": ["NEW"]}},
        {"transitions": {"NOWHERE": ["NEW"]}},
        {"transitions": {"NEW": ["NOWHERE"]}},
        {"role_aliases": {"boss": "king"}},
        {"evidence": {"max_bytes": 0}},
        {"assignment": {"overlaps": "forbid"}},
        {"tools": {"ticket.other": {"method": "POST", "route": "/tickets", "roles": []}}},
        {"tools": {"ticket.other": {"method": "PUT", "route": "/x", "roles": []}}},
        {"tools": {"ticket.other": {"method": "GET", "route": "/x", "roles": ["king"]}}},
    ],
)
def test_a_bundle_that_is_not_whole_does_not_load(change: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(BundleError):
        load_bundle(change)


def test_the_hash_is_stable_and_tells_every_change() -> None:
    changed = load_bundle({"intake": {"duplicate_window_minutes": 121}})
    assert load_bundle().sha256 == bundle().sha256
    assert changed.sha256 != bundle().sha256
    assert changed.surface_hash == bundle().surface_hash


def test_the_hash_does_not_depend_on_the_order_of_the_rules() -> None:
    document = bundle().model_dump(mode="json")
    shuffled = {name: document[name] for name in sorted(document, reverse=True)}
    assert Bundle.model_validate(shuffled).sha256 == bundle().sha256


def test_the_surface_is_the_one_that_clients_know() -> None:
    assert bundle().surface_hash == SURFACE


@pytest.mark.parametrize(
    ("text", "role"),
    [
        (" Dispatcher ", Role.DISPATCHER),
        ("TECH", Role.TECHNICIAN),
        ("dispatcher_admin", Role.DISPATCHER),
        ("bot", Role.AGENT),
        ("assistant", Role.AGENT),
        ("king", None),
        ("", None),
    ],
)
def test_roles_are_compared_trimmed_and_in_any_case(text: str, role: Role | None) -> None:
    assert bundle().role(text) is role


def template(name: str = "DOOR", evidence: str = '["z", "y"]') -> str:
    return TEMPLATE.format(name=name, evidence=evidence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "templates = []",
        "templates = 7",
        "templates = [7]",
        "not toml",
        template(name=" "),
        template(evidence="[]"),
        template(evidence='["a", " "]'),
        template(evidence="[7]"),
        template(evidence='"a"'),
        template() + template(name=" door "),
    ],
)
def test_a_template_set_that_is_not_whole_names_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(text)
    with pytest.raises(InvalidTemplateSetError, match="INVALID_TEMPLATE_SET") as caught:
        TemplateSet.read(path)
    assert caught.value.path == str(path)


def test_a_missing_template_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidTemplateSetError):
        TemplateSet.read(tmp_path / "nowhere.toml")


def test_a_template_set_has_defaults_and_sorted_unique_keys(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(template())
    templates = TemplateSet.read(path)
    found = templates.find(" door ")
    assert found is not None
    assert (templates.schema_version, found.version) == ("unknown", "1.0.0")
    assert found.required_evidence_keys == ("y", "z")
    assert found.required_checklist_keys == ("a", "b")
    assert templates.find("DOOR_V2") is None


def test_the_six_shipped_templates_require_what_every_closeout_needs() -> None:
    templates = bundle().templates.templates
    assert len(templates) == 6
    assert bundle().templates.schema_version == "2026-02-13"
    for each in templates:
        assert "signature_or_no_signature_reason" in each.required_evidence_keys
        assert (len(each.required_evidence_keys), len(each.required_checklist_keys)) == (4, 5)


def test_canonical_json_is_that_of_rfc_8785() -> None:
    value: Any = {"b": [1.0, 1e21, -0.0, 2**60], "\ufb33": 1, "\U0001f600": None, "a": "\u20ac\n"}
    text = '{"a":"\u20ac\\n","b":[1,1e+21,0,1152921504606847000],"\U0001f600":null,"\ufb33":1}'
    assert canonical_bytes(value).decode() == text
    assert sha256_hex({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
