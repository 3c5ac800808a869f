"""The Temporal client, and the search attributes that operators filter by."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client, Interceptor
from temporalio.service import RPCError, RPCStatusCode

from contracts.attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.temporal.codec import data_converter

_KINDS = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
}
_EVERY_ATTRIBUTE = " AND ".join(
    f"{name} = {0 if kind == 'Int' else repr('-')}" for name, kind in SEARCH_ATTRIBUTES.items()
)
_LIMIT = timedelta(seconds=2)
_POLL_SECONDS = 0.2
NEW_NAMESPACE_SECONDS = 30


async def connect_temporal(
    settings: Settings, *, lazy: bool = False, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """Return a client of the configured namespace; a lazy one connects on its first call.

    Raises `ConfigurationError` if the payload keys cannot be read.
    """
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings),
        lazy=lazy,
        interceptors=interceptors,
    )


async def ensure_search_attributes(client: Client) -> None:
    """Register what is missing and wait until the server accepts it.

    A workflow that sets an unknown attribute is stuck, so nothing polls before this returns. A
    namespace that was registered just now is not known everywhere at once, so it has a while.
    """
    until = asyncio.get_running_loop().time() + NEW_NAMESPACE_SECONDS
    while True:
        try:
            if not await _missing(client) and await accepts_attributes(client):
                return
        except RPCError as error:
            late = asyncio.get_running_loop().time() > until
            if error.status is not RPCStatusCode.NOT_FOUND or late:
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def accepts_attributes(client: Client) -> bool:
    """Return whether a workflow may start with our attributes.

    What is listed as registered is accepted seconds later, when the frontend has read it; a query
    that names an attribute is refused until then. Raises `RPCError` if there is no such namespace.
    """
    try:
        await client.count_workflows(_EVERY_ATTRIBUTE, rpc_timeout=_LIMIT)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return False
        raise
    return True


async def _missing(client: Client) -> bool:
    """Register the attributes that the namespace lacks; return whether there were any."""
    asked = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(asked)
    missing = SEARCH_ATTRIBUTES.keys() - set(answer.custom_attributes)
    if missing:
        kinds = {name: _KINDS[SEARCH_ATTRIBUTES[name]] for name in sorted(missing)}
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=kinds)
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise
    return bool(missing)
