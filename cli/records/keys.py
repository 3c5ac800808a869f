"""`dispatch public-keys`: what others verify our signatures with."""

from cli.output import DataDir, failed, tell
from cli.work import settings
from records.audit import signing_keys
from runtime.client import DEFAULT_DATA_DIR
from runtime.environment import ConfigurationError


def public_keys(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the public halves of the keys that sign, one `id:public:key` a line.

    They are those of DISPATCH_SIGNING_KEYS and DISPATCH_DOSSIER_KEYS. Give them to whoever shall
    verify checkpoints and dossiers. In the variables themselves such an entry stands for a retired
    key, whose private half may be destroyed.
    """
    try:
        keys = signing_keys.public_keys(settings(data_dir))
    except ConfigurationError as fault:
        raise failed(str(fault)) from None
    if not keys:
        raise failed(f"{signing_keys.VARIABLE} is not set: nothing is signed here")
    tell("\n".join(keys))
