"""`dispatch backup` and `dispatch restore`, with what such a file holds and what it does not."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.caller import owner_database_url
from cli.output import DataDir, failed, say, tell, tell_json
from cli.work import run, settings
from runtime.client import DEFAULT_DATA_DIR
from runtime.postgres.archive import Contents, back_up, bring_back
from runtime.settings import Settings

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The backup, in Postgres's custom format.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(file: File, data_dir: DataDir = DEFAULT_DATA_DIR, *, as_json: AsJson = False) -> None:
    """Write the whole database to a new file, as of one instant.

    The login of DISPATCH_DATABASE_URL must read everything: the schema's owner, or a role with
    BYPASSRLS. Without that variable the running embedded stack is meant. Not in it: the objects in
    the bucket, keys and secrets of the environment, and the engine's state, which is not needed.
    """
    url = _url(data_dir)
    done = run(back_up(url, file, _progress))
    _tell(
        done, {"file": str(file), "bytes": file.stat().st_size}, settings(data_dir), as_json=as_json
    )


def restore(file: File, data_dir: DataDir = DEFAULT_DATA_DIR, *, as_json: AsJson = False) -> None:
    """Read a backup into an empty database: all of it or nothing.

    DISPATCH_DATABASE_URL names the database, with the login that shall own the schema, under the
    name that it has in the backup. `dispatch verify` then tells whether what is there is whole.
    """
    url = _url(data_dir)
    if not file.is_file():
        raise failed(f"no backup to read: {file}")
    done = run(bring_back(url, file, _progress))
    _tell(done, {"file": str(file)}, settings(data_dir), as_json=as_json)
    say("next: dispatch migrate, then dispatch verify")


def _url(data_dir: Path) -> str:
    if (url := owner_database_url(data_dir)) is None:
        raise failed("no database: set DISPATCH_DATABASE_URL or start the stack (dispatch up)")
    return url


def _progress(table: str) -> None:
    say(f"  {table}")


def _tell(contents: Contents, file: Mapping[str, Any], chosen: Settings, *, as_json: bool) -> None:
    elsewhere = {
        "engine": f"{chosen.temporal_address}, namespace {chosen.temporal_namespace}:"
        " workflows are started anew by their next command",
        "object_store": f"bucket {chosen.s3_bucket or '(none set)'}: copy it with its versions",
        "secrets": "keys, tokens and logins of the environment",
    }
    if as_json:
        tell_json({**file, **asdict(contents), "not_included": elsewhere})
        return
    newest = contents.checkpoints
    tell(f"{file['file']}: {contents.tickets:,} tickets, {contents.audit_events:,} audit rows")
    tell(f"schema: {contents.newest_migration}")
    tell(
        f"checkpoints compared: {newest.count:,} are the same,"
        f" newest {newest.newest_number}:{newest.newest_root}"
        if newest.count
        else "checkpoints compared: there are none"
    )
    tell(f"undecided commands: {contents.undecided_commands:,}; workers send them again")
    for name, what in elsewhere.items():
        tell(f"not in it, {name.replace('_', ' ')}: {what}")
