"""`dispatch mcp`: the toolset for AI agents, on standard input and output."""

from typing import Annotated

import typer

from cli.identity import AsRole, TokenFile, identity
from cli.output import DataDir, run, settings
from contracts.command import AUTOMATION_HEADER
from policy.rules.bundle import load_bundle
from runtime.stack import DEFAULT_DATA_DIR


def mcp(
    token_file: TokenFile = None,
    role: AsRole = None,
    api_url: Annotated[
        str, typer.Option("--api-url", help="The gateway; else DISPATCH_API_URL is used.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    automation: Annotated[
        bool, typer.Option("--automation", help="No person decides: obey the autonomy ladder.")
    ] = False,
) -> None:
    """Serve the closed toolset to an MCP client, on standard input and output.

    Every call goes to the gateway with your token, so auth, policy and audit are those of the
    gateway. Clients that speak streamable HTTP need no such process: they use the gateway's /mcp.
    """
    from mcp_server.stdio import serve_stdio  # noqa: PLC0415  half a second for one command

    chosen = settings(data_dir)
    who = identity(chosen, role, token_file)
    if automation:
        who |= {AUTOMATION_HEADER: "true"}
    run(serve_stdio(load_bundle(), api_url or chosen.api_url, who))
