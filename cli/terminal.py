"""The console for tables and cards."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from policy.printable import printable


class Terminal(Console):
    """A console that lets no text of others steer it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is shown; styles are ours, texts are not."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
