"""A checkpoint extends the one before it; whatever was replaced is named."""

from datetime import UTC, datetime

import pytest

from api.main import excess_keys
from policy.audit.chain import GENESIS, Fault
from policy.audit.checkpoint import Checkpoint, LogCheck, SignedCheckpoint, extend
from records.audit.signing_keys import SigningKeys, dossier_keys, public_keys
from runtime.environment import ConfigurationError
from runtime.key_ring import new_key
from runtime.settings import Settings

KEYS = SigningKeys.read([new_key("old"), new_key("new")])
ROWS = [bytes([number]) * 32 for number in range(60)]
STEPS = (1, 2, 5, 21, 22, 60)


def signed(
    keys: SigningKeys, last: SignedCheckpoint | None, size: int, peaks: list[bytes], to: int
) -> tuple[SignedCheckpoint, list[bytes]]:
    grown = extend(size, peaks, ROWS[size:to])
    checkpoint = Checkpoint(
        number=last.checkpoint.number + 1 if last else 1,
        tree_size=grown.tree_size,
        root_hash=grown.root.hex(),
        previous=last.checkpoint.sha256 if last else GENESIS,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        key_id=keys.signing_id or "",
    )
    signature = keys.sign(checkpoint.message).signature.hex()
    consistency = tuple(each.hex() for each in grown.consistency)
    document = SignedCheckpoint(checkpoint=checkpoint, signature=signature, consistency=consistency)
    return document, grown.peaks


def chain() -> list[SignedCheckpoint]:
    made: list[SignedCheckpoint] = []
    size, peaks = 0, list[bytes]()
    for to in STEPS:
        document, peaks = signed(KEYS, made[-1] if made else None, size, peaks, to)
        made.append(document)
        size = to
    return made


def faults(checkpoints: list[SignedCheckpoint], rows: list[bytes] = ROWS) -> list[Fault]:
    check = LogCheck(KEYS.verifies, checkpoints)
    found = [fault for row in rows for fault in check.add(row)]
    return found + check.finish()


def changed(document: SignedCheckpoint, **fields: object) -> SignedCheckpoint:
    checkpoint = document.checkpoint.model_copy(update=fields)
    signature = KEYS.sign(checkpoint.message).signature.hex()
    return document.model_copy(update={"checkpoint": checkpoint, "signature": signature})


def test_an_honest_log_is_whole() -> None:
    assert faults(chain()) == []


def test_a_changed_row_betrays_itself_at_the_next_checkpoint() -> None:
    rows = [*ROWS[:3], b"x" * 32, *ROWS[4:]]
    assert [fault.row_id for fault in faults(chain(), rows)] == ["3"]


def test_a_bad_signature_is_named() -> None:
    made = chain()
    made[2] = made[2].model_copy(update={"signature": "00" * 64})
    assert [(f.row_id, f.problem) for f in faults(made)] == [
        ("3", "its signature is not that of key 'old'")
    ]


def test_a_replaced_checkpoint_is_betrayed_by_the_next_even_if_its_signature_is_good() -> None:
    made = chain()
    made[2] = changed(made[2], created_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert [(f.row_id, f.problem) for f in faults(made)] == [
        ("4", "it does not refer to the checkpoint before it")
    ]


def test_a_missing_checkpoint_is_noticed() -> None:
    made = chain()
    del made[2]
    assert ("4", "it follows checkpoint 2") in [(f.row_id, f.problem) for f in faults(made)]


def test_a_consistency_proof_of_another_log_is_refused() -> None:
    made = chain()
    made[3] = made[3].model_copy(update={"consistency": ("00" * 32,)})
    assert [(f.row_id, f.problem) for f in faults(made)] == [
        ("4", "it does not prove to extend the one before it")
    ]


def test_rows_that_are_gone_and_rows_that_nobody_signed_are_noticed() -> None:
    assert [f.problem for f in faults(chain(), ROWS[:-1])] == ["it covers 60 rows, the log has 59"]
    assert [f.problem for f in faults(chain()[:-1])] == [
        "the last 38 rows of the log are covered by none"
    ]


def test_a_retired_key_verifies_but_does_not_sign() -> None:
    old, new = new_key("old"), new_key("new")
    before = SigningKeys.read([old])
    retired = before.public_entries()
    after = SigningKeys.read([*retired, new])
    key_id, signature = before.sign(b"message")
    assert after.verifies(key_id, signature, b"message")
    assert not after.verifies(key_id, signature, b"other")
    assert not after.verifies("nobody", signature, b"message")
    assert after.signing_id == "new"
    with pytest.raises(ConfigurationError, match="no private key"):
        SigningKeys.read(retired).sign(b"message")


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (["nokey"], "entry 1 does not begin"),
        (["a:!!"], "entry 1 holds no base64"),
        (["a:AAAA"], "entry 1 holds 3 bytes instead of 32"),
        ([new_key("a"), new_key("a")], "entry 2 repeats the key id"),
    ],
)
def test_a_bad_ring_is_refused_without_repeating_it(entries: list[str], fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        SigningKeys.read(entries)


def test_a_gateway_is_told_of_a_key_that_it_should_not_hold() -> None:
    own, other = new_key("dossiers"), SigningKeys.read([new_key("log")])
    settings = Settings.model_validate(
        {"signing_keys": other.public_entries()[0], "dossier_keys": own}
    )
    assert excess_keys(settings) == []
    dossiers = dossier_keys(settings)
    assert dossiers is not None
    assert dossiers.signing_id == "dossiers"
    assert [entry.split(":")[0] for entry in public_keys(settings)] == ["log", "dossiers"]
    (told,) = excess_keys(Settings.model_validate({"signing_keys": own}))
    assert "DISPATCH_SIGNING_KEYS holds a private key" in told
    assert own.partition(":")[2] not in told
