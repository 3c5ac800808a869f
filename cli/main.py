"""The entry point: the commands by name, and the exit codes."""

import sys
from collections.abc import Callable, Mapping

import typer

from cli import agents, database, dossier, evidence, keys, outbox, stack, tokens, verify, webhooks
from cli.backup import commands as archive
from cli.drill import drill
from cli.output import Exit
from cli.release import check as release
from cli.scenario import demo
from cli.tools.commands import add_tools
from policy.rules.bundle import load_bundle

_TYPER_USAGE = 2
_DEMO_TECHNICIAN = "00000000-0000-0000-0000-000000000083"
_EXAMPLES: Mapping[Callable[..., None], tuple[str, ...]] = {
    stack.up: (
        "dispatch up",
        "dispatch up --port 9000 --data-dir /var/tmp/second-stack",
    ),
    stack.status: ("dispatch status", "dispatch status --json"),
    stack.down: ("dispatch down", "dispatch down --data-dir /var/tmp/second-stack"),
    database.migrate: (
        "dispatch migrate",
        "DISPATCH_DATABASE_URL=postgresql://owner@db.example/dispatch dispatch migrate",
    ),
    database.bootstrap: (
        "dispatch bootstrap",
        "DISPATCH_BOOTSTRAP_SKIP_API_READY_CHECK=true dispatch bootstrap",
    ),
    archive.backup: (
        "dispatch backup dispatch-$(date +%F).dump",
        "DISPATCH_DATABASE_URL=postgresql://auditor@db.example/dispatch dispatch backup a.dump",
    ),
    archive.restore: (
        "DISPATCH_DATABASE_URL=postgresql://owner@db.example/restored dispatch restore a.dump",
    ),
    demo.demo: (
        "dispatch demo",
        "dispatch demo --pause",
        "dispatch demo --json | jq .passed",
    ),
    drill.drill: (
        "dispatch drill",
        "dispatch drill --live --json",
    ),
    release.release_check: (
        "dispatch release-check",
        "dispatch release-check --output evidence --lint --types --tests --drill",
    ),
    verify.verify: (
        "dispatch verify",
        "dispatch verify --ticket 94c09184-0e2f-5232-9361-45479ec0e9e2",
        "DISPATCH_DATABASE_URL=postgresql://auditor@db.example/dispatch dispatch verify --json",
    ),
    dossier.verify_dossier: (
        "dispatch verify-dossier dossier.zip",
        "dispatch verify-dossier dossier.zip --key $(cat public-keys)",
    ),
    agents.mcp: (
        "DISPATCH_TOKEN=$(cat token) dispatch mcp",
        "dispatch mcp --as agent",
    ),
    keys.keygen: (
        "dispatch keygen",
        "DISPATCH_PAYLOAD_KEYS=$(dispatch keygen) dispatch up",
        "DISPATCH_SIGNING_KEYS=$(dispatch keygen) dispatch up",
    ),
    keys.public_keys: ("dispatch public-keys > public-keys",),
    tokens.token: (
        "dispatch token --role dispatcher",
        f"dispatch token --role technician --technician {_DEMO_TECHNICIAN}",
        'curl -H "Authorization: Bearer $(dispatch token --role dispatcher)" $URL/tools',
    ),
}

app = typer.Typer(
    name="dispatch",
    help="Run, prepare and inspect a Real Dispatch installation.",
    epilog="Exit codes: 0 done, 1 failed, 2 denied by a gate, 64 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, examples in _EXAMPLES.items():
    app.command(epilog="\n".join(["\b", "Examples:", *(f"  {each}" for each in examples)]))(command)
app.add_typer(evidence.app, name="evidence", help="Hold, release and redact evidence.")
app.add_typer(outbox.app, name="outbox", help="Deliver, list and replay messages.")
app.add_typer(webhooks.app, name="webhook", help="Say who is told of what happens.")
add_tools(app, load_bundle(), {("outbox",): outbox.app, ("evidence",): evidence.app})


def main() -> None:
    """Run the command line. Exit code 0: done, 1: failed, 2: denied by a gate, 64: wrong usage."""
    try:
        app()
    except SystemExit as ending:
        meant = isinstance(ending.code, Exit)  # typer's own code for wrong usage is a plain 2
        sys.exit(Exit.USAGE if ending.code == _TYPER_USAGE and not meant else ending.code)
