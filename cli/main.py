"""The entry point: the commands by name, and the exit codes."""

import sys

import typer

from cli.groups import Group, Imported, lazy
from cli.output import Exit
from cli.tools.listing import add_tools

_TYPER_USAGE = 2
_DEMO_TECHNICIAN = "00000000-0000-0000-0000-000000000083"
COMMANDS = Group(
    "Run, prepare and inspect a Real Dispatch installation.",
    {
        "up": Imported(
            "cli.stack:up",
            "Start the whole stack and keep it running until Ctrl-C.",
            ("dispatch up", "dispatch up --port 9000 --data-dir /var/tmp/second-stack"),
        ),
        "status": Imported(
            "cli.stack:status",
            "Show the parts of the stack, their addresses and their memory.",
            ("dispatch status", "dispatch status --json"),
        ),
        "down": Imported(
            "cli.stack:down",
            "Stop the stack, also what a killed supervisor left behind.",
            ("dispatch down", "dispatch down --data-dir /var/tmp/second-stack"),
        ),
        "migrate": Imported(
            "cli.database:migrate",
            "Bring the database's schema up to date; harmless if it is.",
            (
                "dispatch migrate",
                "DISPATCH_DATABASE_URL=postgresql://owner@db.example/dispatch dispatch migrate",
            ),
        ),
        "bootstrap": Imported(
            "cli.database:bootstrap",
            "Migrate, insert the demo fixtures, wait for the API, and print the evidence as JSON.",
            (
                "dispatch bootstrap",
                "DISPATCH_BOOTSTRAP_SKIP_API_READY_CHECK=true dispatch bootstrap",
            ),
        ),
        "backup": Imported(
            "cli.backup.commands:backup",
            "Write the whole database to a new file, as of one instant.",
            (
                "dispatch backup dispatch-$(date +%F).dump",
                "DISPATCH_DATABASE_URL=postgresql://auditor@db.example/d dispatch backup a.dump",
            ),
        ),
        "restore": Imported(
            "cli.backup.commands:restore",
            "Read a backup into an empty database: all of it or nothing.",
            ("DISPATCH_DATABASE_URL=postgresql://owner@db.example/new dispatch restore a.dump",),
        ),
        "demo": Imported(
            "cli.scenario.demo:demo",
            "Walk one ticket from creation to closure, then prove what happened.",
            ("dispatch demo", "dispatch demo --pause", "dispatch demo --json | jq .passed"),
        ),
        "drill": Imported(
            "cli.drill.drill:drill",
            "Provoke each of the four alerts on the live stack and follow its runbook.",
            ("dispatch drill", "dispatch drill --live --json"),
        ),
        "release-check": Imported(
            "cli.release.check:release_check",
            "Run the gates of a release and write the evidence packet.",
            (
                "dispatch release-check",
                "dispatch release-check --output evidence --lint --types --tests --drill",
            ),
        ),
        "verify": Imported(
            "cli.records.verify:verify",
            "Re-check every recorded row from Postgres and name those that were tampered with.",
            (
                "dispatch verify",
                "dispatch verify --ticket 94c09184-0e2f-5232-9361-45479ec0e9e2",
                "DISPATCH_DATABASE_URL=postgresql://auditor@db.example/d dispatch verify --json",
            ),
        ),
        "verify-dossier": Imported(
            "cli.records.dossier:verify_dossier",
            "Check a dossier offline, every byte of it, and name the first bad item.",
            (
                "dispatch verify-dossier dossier.zip",
                "dispatch verify-dossier dossier.zip --key $(cat public-keys)",
            ),
        ),
        "mcp": Imported(
            "cli.agents:mcp",
            "Serve the closed toolset to an MCP client, on standard input and output.",
            ("DISPATCH_TOKEN=$(cat token) dispatch mcp", "dispatch mcp --as agent"),
        ),
        "keygen": Imported(
            "cli.records.keygen:keygen",
            "Make a key for DISPATCH_PAYLOAD_KEYS (AES-256) or DISPATCH_SIGNING_KEYS (Ed25519).",
            (
                "dispatch keygen",
                "DISPATCH_PAYLOAD_KEYS=$(dispatch keygen) dispatch up",
                "DISPATCH_SIGNING_KEYS=$(dispatch keygen) dispatch up",
            ),
        ),
        "public-keys": Imported(
            "cli.records.keys:public_keys",
            "Print the public halves of the keys that sign, one `id:public:key` a line.",
            ("dispatch public-keys > public-keys",),
        ),
        "token": Imported(
            "cli.tokens:token",
            "Print a signed development token (HS256).",
            (
                "dispatch token --role dispatcher",
                f"dispatch token --role technician --technician {_DEMO_TECHNICIAN}",
                'curl -H "Authorization: Bearer $(dispatch token --role dispatcher)" $URL/tools',
            ),
        ),
        "evidence": Group(
            "Hold, release and redact evidence.",
            {
                "hold": Imported(
                    "cli.records.evidence:hold", "Keep evidence whatever its retention says"
                ),
                "release": Imported("cli.records.evidence:release", "Release a legal hold"),
                "redact": Imported(
                    "cli.records.evidence:redact", "Add a redacted copy; the original stays"
                ),
            },
        ),
        "outbox": Group(
            "Deliver, list and replay messages.",
            {
                "run": Imported("cli.delivery.outbox:run_outbox", "Deliver what is due"),
                "list": Imported(
                    "cli.delivery.outbox:list_outbox", "Show messages, the newest first"
                ),
            },
        ),
        "webhook": Group(
            "Say who is told of what happens.",
            {
                "add": Imported("cli.delivery.webhooks:add", "Tell a subscriber of what happens"),
                "list": Imported("cli.delivery.webhooks:list_subscribers", "Show the subscribers"),
                "remove": Imported(
                    "cli.delivery.webhooks:remove", "Tell a subscriber nothing more"
                ),
            },
        ),
    },
)
add_tools(COMMANDS)
app = typer.Typer(
    name="dispatch",
    help=COMMANDS.summary,
    epilog="Exit codes: 0 done, 1 failed, 2 denied by a gate, 64 wrong usage.",
    cls=lazy(COMMANDS),
    callback=lambda: None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line. Exit code 0: done, 1: failed, 2: denied by a gate, 64: wrong usage."""
    try:
        app()
    except SystemExit as ending:
        meant = isinstance(ending.code, Exit)  # typer's own code for wrong usage is a plain 2
        sys.exit(Exit.USAGE if ending.code == _TYPER_USAGE and not meant else ending.code)
