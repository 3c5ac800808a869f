"""`dispatch mcp`: the toolset for AI agents, on standard input and output."""

from typing import Annotated

import typer

from cli.caller import caller
from cli.identity import AS_ROLE, TokenFile, identity
from cli.output import DataDir
from cli.work import run
from contracts.command import AUTOMATION_HEADER
from mcp_server.stdio import serve_stdio
from policy.model import Role
from policy.rules.bundle import load_bundle
from runtime.client import DEFAULT_DATA_DIR


def mcp(
    token_file: TokenFile = None,
    role: Annotated[Role | None, AS_ROLE] = None,
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
    chosen = caller(data_dir)
    who = identity(chosen, role, token_file)
    if automation:
        who |= {AUTOMATION_HEADER: "true"}
    run(serve_stdio(load_bundle(), api_url or chosen.api_url, who))
