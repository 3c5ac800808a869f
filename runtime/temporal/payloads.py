"""How messages become payloads: as pydantic JSON, by converters that are built once."""

from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class MessageConverter(CompositePayloadConverter):
    """The SDK's pydantic converter; the SDK makes one for every workflow task, so it is cheap."""

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


message_converter = DataConverter(payload_converter_class=MessageConverter)
