"""The key that signs commands: the environment's, else the installation's own."""

from runtime.postgres.pool import Connection, installation_key
from runtime.settings import Settings


async def command_key(settings: Settings, conn: Connection) -> bytes:
    """Return the key that gateway and worker share.

    Whoever can reach Temporal but neither the environment nor the database cannot sign.
    """
    if settings.command_key is not None:
        return settings.command_key.get_secret_value().encode()
    return await installation_key(conn)
