"""Sets a page as PDF with Typst: tagged (PDF/UA-1), archivable (PDF/A-2a), the same every time.

Nothing that a page says is ever source text: `page.typ` is, and reads the rest as JSON. All that
the typesetter can read is in one folder, with the pictures of this page; it has no packages.
"""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import orjson
import typst

from records.dossier.fonts import faces
from records.dossier.page import Page

LOOK: Final = Path(__file__).with_name("page.typ")
STANDARDS: Final[list[Literal["a-2a", "ua-1"]]] = ["a-2a", "ua-1"]


def typeset(page: Page, folder: Path) -> bytes:
    """Return the PDF; the same page makes the same bytes. Raises `typst.TypstError`.

    `folder` is an empty one, for the pictures.

    The standards forbid what no font shows. `text.py` lets none through; should it err, a paper
    that keeps no standard is better than none.
    """
    made_at = int(datetime.fromisoformat(page.made_at).timestamp())
    try:
        content = compiler(page, folder).compile(
            format="pdf", pdf_standards=[*STANDARDS], timestamp=made_at
        )
    except typst.TypstError:
        content = compiler(page, folder).compile(format="pdf", timestamp=made_at)
    if not isinstance(content, bytes):
        raise TypeError("a PDF is one file")
    return content


def compiler(page: Page, folder: Path) -> typst.Compiler:
    """Return the typesetter with the page, and nothing else, before it."""
    title = f"{page.letterhead.kind}: {page.letterhead.title}"
    told = {
        "paper": page.paper,
        "title": title,
        "letterhead": page.letterhead.texts(),
        "blocks": list(page.blocks),
    }
    for name, picture in page.pictures.items():
        (folder / name).write_bytes(picture)
    return typst.Compiler(
        LOOK.read_bytes(),
        root=folder,
        sys_inputs={"page": orjson.dumps(told).decode()},
        font_paths=faces(),
        ignore_system_fonts=True,
        package_path=folder,
        package_cache_path=folder,
    )
