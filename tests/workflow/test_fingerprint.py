"""The commands of the workflow change only behind a patch, and never unnoticed."""

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.faults.builds.next_release import NextTicketWorkflow
from tests.workflow.fingerprint import SCRIPTS, fingerprint, known
from worker.parts import OUR_PURE_MODULES

pytest_plugins = ["tests.workflow.time_skipping"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHOUT_A_PATCH = """
{name}: the workflow gives other commands than recorded, and no new patch says so.
  recorded: {before}
  now:      {after}
Tickets that are open would be stuck on the new code. Put the change behind
`if workflow.patched("YYYY-MM-what-changes"):`, keep the old branch, and say so in the release
notes (docs/adr/0015-upgrade-rules.md). Then: make record-history."""
WITH_A_PATCH = """
{name}: the workflow gives other commands than recorded, behind {patches}.
That is how it should be done. Keep the recorded histories, add new ones and the new fingerprint:
make record-history."""


def advice(name: str, before: list[str], after: list[str]) -> str | None:
    """Return what to do about a changed fingerprint, None if it is the same."""
    if before == after:
        return None
    patches = [each for each in after if each.startswith("patch ") and each not in before]
    text = WITH_A_PATCH if patches else WITHOUT_A_PATCH
    return text.format(name=name, before=before, after=after, patches=", ".join(patches))


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_workflow_gives_the_commands_that_were_recorded(
    skipping: WorkflowEnvironment, name: str
) -> None:
    problem = advice(name, known()[name], await fingerprint(skipping, SCRIPTS[name]))
    assert problem is None, problem


async def test_a_change_without_a_patch_is_told_what_to_do() -> None:
    before, changed = ["timer", "complete"], ["timer", "activity", "complete"]
    assert advice("a", before, before) is None
    assert "workflow.patched" in (advice("a", before, changed) or "")
    assert "behind patch 2026-12-x" in (advice("a", before, ["patch 2026-12-x", *changed]) or "")


async def test_a_patched_release_has_another_fingerprint(
    skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.workflow.driver.TicketWorkflow", NextTicketWorkflow)
    monkeypatch.setattr("tests.workflow.driver.OUR_PURE_MODULES", (*OUR_PURE_MODULES, "tests"))
    found = await fingerprint(skipping, SCRIPTS["lifecycle"])
    assert "patch next-release" in found
    assert "behind patch next-release" in (advice("lifecycle", known()["lifecycle"], found) or "")
