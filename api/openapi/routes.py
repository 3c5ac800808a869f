"""The API's documents: OpenAPI, and a page to read and try it, all from this process."""

from collections.abc import Iterator
from importlib.resources import files

import orjson
from starlette.requests import Request

from api.openapi.document import openapi_document
from api.wire.answers import Answer
from api.wire.serving import Handler, Route
from policy.rules.bundle import Bundle

OK = 200
ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
# Just what the page needs: its own files, calls to this gateway, the images in its style sheet.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Real Dispatch API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# A command needs a key of its own, so that a retry is one. Whoever tries things here need not think
# of one: where the field is left empty, each click of Execute gets a fresh key.
START = b"""const KEY = "Idempotency-Key";

function freshKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function forThePage(spec) {
  const key = spec.components.parameters.IdempotencyKey;
  key.required = false;
  key.description += " Left empty, this page makes one.";
  return spec;
}

function withKey(request) {
  const own = new URL(request.url, location.href).origin === location.origin;
  if (own && request.method === "POST" && !request.headers[KEY]) {
    request.headers[KEY] = freshKey();
  }
  return request;
}

fetch("/openapi.json").then((answer) => answer.json()).then((spec) => SwaggerUIBundle({
  spec: forThePage(spec),
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  validatorUrl: null,
  requestInterceptor: withKey,
}));
"""


def docs_routes(bundle: Bundle) -> Iterator[Route]:
    """Yield the routes."""
    document = orjson.dumps(openapi_document(bundle))
    yield Route("GET", "/openapi.json", _fixed(document, "application/json; charset=utf-8"))
    yield Route("GET", "/docs", _page)
    yield Route("GET", "/docs/start.js", _fixed(START, ASSETS["swagger-ui-bundle.js"]))
    folder = files("fastapi_offline") / "static"
    for name, media_type in ASSETS.items():
        yield Route("GET", f"/docs/{name}", _fixed((folder / name).read_bytes(), media_type))


async def _page(_: Request) -> Answer:
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": PAGE_POLICY}
    return Answer(OK, PAGE, headers)


def _fixed(content: bytes, media_type: str) -> Handler:
    async def handle(_: Request) -> Answer:
        return Answer(OK, content, {"Content-Type": media_type})

    return handle
