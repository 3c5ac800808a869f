"""The Temporal client, and the search attributes that operators filter by."""

import asyncio
from collections.abc import Sequence

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
}
_POLL_SECONDS = 0.2


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

    A workflow that sets an unknown attribute is stuck, so nothing polls before this returns.
    """
    while missing := SEARCH_ATTRIBUTES.keys() - await _registered(client):
        kinds = {name: _KINDS[SEARCH_ATTRIBUTES[name]] for name in sorted(missing)}
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=kinds)
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def _registered(client: Client) -> set[str]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(request)
    return set(answer.custom_attributes)
