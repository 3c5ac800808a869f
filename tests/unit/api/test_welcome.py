"""The root: a page for browsers, and for everybody else what it always was."""

import re
from typing import Any

import pytest
from starlette.requests import Request

from api.openapi.welcome import LINKS, wants_page, welcome_page
from runtime.settings import Settings
from runtime.temporal.ui import tickets_page

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
UI = "http://127.0.0.1:8233"


def asked(accept: str | None, method: str = "GET", path: str = "/", **settings: Any) -> str | None:  # noqa: ANN401
    headers = [] if accept is None else [(b"accept", accept.encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    if not wants_page(Request(scope)):
        return None
    chosen = Settings.model_validate({"temporal_ui_origin": UI, **settings})
    return welcome_page(chosen).content.decode()


def test_a_browser_gets_a_page_that_links_docs_health_and_the_temporal_ui() -> None:
    page = asked(CHROME)
    assert page is not None
    links = re.findall(r'href="([^"]+)"', page)
    assert set(LINKS) <= set(links)
    assert {"/docs", "/health"} <= set(links)
    assert tickets_page(UI, "default") in links
    assert "<script" not in page


@pytest.mark.parametrize(
    "accept", [None, "", "*/*", "application/json", "text/html;q=0.5, application/json", "nonsense"]
)
def test_everybody_else_gets_no_page(accept: str | None) -> None:
    assert asked(accept) is None


def test_only_the_root_has_the_page_and_only_reading_does() -> None:
    assert asked(CHROME, path="/nowhere") is None
    assert asked(CHROME, method="POST") is None


def test_production_does_not_tell_where_its_engine_is() -> None:
    page = asked(CHROME, mode="production")
    assert page is not None
    assert UI not in page
