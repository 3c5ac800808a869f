"""The first page: what somebody sees who opens the gateway's address in a browser."""

from html import escape

from starlette.requests import Request

from api.ops.runbooks import URL_PREFIX
from api.wire.accept import ranked
from api.wire.answers import Answer
from runtime.environment import Mode
from runtime.settings import Settings
from runtime.temporal.ui import tickets_page

OK = 200
JSON, HTML = "application/json", "text/html"
LINKS = {
    "/docs": "The API: read it, and try it",
    "/openapi.json": "The same for programs (OpenAPI)",
    "/health": "Health of the gateway and of all it needs",
    "/ops/alerts": "Alerts",
    f"{URL_PREFIX}README.md": "Runbooks",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Real Dispatch</title>
</head>
<body>
<h1>Real Dispatch</h1>
<p>Field-service tickets from intake to closure. This address serves an API.</p>
<ul>
{links}
</ul>
</body>
</html>
"""


def wants_page(request: Request) -> bool:
    """Return whether a browser asks for the root; all else gets what it always did."""
    is_root = request.method == "GET" and request.scope["path"] == "/"
    return is_root and ranked(request.headers.get("accept", ""), (JSON, HTML)) == HTML


def welcome_page(settings: Settings) -> Answer:
    """Return the page.

    It links the Temporal UI where that is configured, outside of production: whoever finds a
    gateway need not learn where its engine is.
    """
    links = dict(LINKS)
    if settings.temporal_ui_origin and settings.mode is not Mode.PRODUCTION:
        page = tickets_page(settings.temporal_ui_origin, settings.temporal_namespace)
        links[page] = "The tickets' workflows (Temporal UI)"
    shown = "\n".join(
        f'<li><a href="{escape(url)}">{escape(text)}</a></li>' for url, text in links.items()
    )
    headers = {"Content-Type": "text/html; charset=utf-8"}
    return Answer(OK, PAGE.format(links=shown).encode(), headers)
