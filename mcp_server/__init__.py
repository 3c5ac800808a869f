"""The agents' door: the closed toolset as an MCP server, over any HTTP client of the gateway."""
