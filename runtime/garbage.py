"""The garbage collector of a process that serves: pauses of a tenth of a second are latency.

What start-up has made lives as long as the process, so it is looked through once and never again.
Almost everything else dies by its reference count; cycles are rare and can wait.
"""

import gc

THRESHOLDS = (5_000, 10, 10)


def spare_long_lived() -> None:
    """Never look again through what exists now, and look through the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
