"""`dispatch verify-dossier`: the check of a dossier, here with the installation's own keys."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import DataDir, Exit, failed, tell, tell_facts, tell_json
from cli.work import settings
from policy.dossier.verifier import BadItemError, in_words, read_keys, verify
from policy.printable import on_one_line
from records.audit.signing_keys import public_keys
from runtime.client import DEFAULT_DATA_DIR
from runtime.environment import ConfigurationError


def verify_dossier(
    file: Annotated[Path, typer.Argument(help="The dossier, a ZIP file.", exists=True)],
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="ID:public:KEY", help="A public key; else the configured ones."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a dossier offline, every byte of it, and name the first bad item.

    The file `policy/dossier/verifier.py` does the same alone, with Python's standard library:
    give it to whoever does not trust this installation.
    """
    try:
        keys = read_keys(key or _configured(data_dir))
        found = verify(file.read_bytes(), keys)
    except BadItemError as bad:
        if as_json:
            tell_json({"whole": False, "item": bad.item, "problem": bad.problem}, indent=False)
        else:
            tell(on_one_line(f"NOT WHOLE: {bad}"))
        raise typer.Exit(Exit.FAILED) from None
    except (ConfigurationError, ValueError, OSError) as fault:
        raise failed(str(fault)) from None
    if as_json:
        tell_json({"whole": True, **found})
    else:
        tell_facts(in_words(found))
        tell("whole")


def _configured(data_dir: Path) -> list[str]:
    keys = public_keys(settings(data_dir))
    if not keys:
        raise ConfigurationError("name the issuer's key: --key ID:public:KEY")
    return keys
