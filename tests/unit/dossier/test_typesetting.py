"""Any text on a page: every character of it, in its direction, within its column, and as data."""

import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import typst
from pypdf import PdfReader

from records.dossier.page import listing
from records.dossier.text import cut, language, says
from records.dossier.typesetter import typeset
from tests.unit.dossier.pages import (
    dossier,
    ink,
    invoice,
    narrow,
    page,
    paragraph,
    pdf,
    read,
    replaced,
    seen,
)
from tests.unit.dossier.texts import LONG, MARKUP, TEXTS, UNSHOWN

SERVING = {"Cf", "Zs"}
GUTTER = (16 + 178 * 0.84 - 0.9, 16 + 178 * 0.84 + 0.9)
"""Between the second and the third column of `narrow`, in mm."""


def characters(text: str) -> set[str]:
    """Return what is to be seen of a text, however its characters are put together."""
    spread = unicodedata.normalize("NFKD", text)
    return {
        each
        for each in spread
        if unicodedata.category(each) not in SERVING and each not in "\ufe0f\n"
    }


@pytest.mark.parametrize("name", TEXTS)
def test_a_paper_shows_every_character_of_a_script(name: str) -> None:
    text = TEXTS[name]
    content = pdf(invoice(text, name=text))
    shown = "".join(read(content))
    assert characters(text) <= characters(shown + replaced(content))
    assert "U+" not in shown
    assert ("?" in shown) == ("?" in text)


@pytest.mark.parametrize("name", UNSHOWN)
def test_what_no_font_has_is_shown_as_its_code_point(name: str) -> None:
    shown = "".join(read(pdf(paragraph(f"a{UNSHOWN[name]}b"))))
    codes = "".join(f"[U+{ord(each):04X}]" for each in UNSHOWN[name])
    assert f"a{codes}b" in shown


def test_a_mark_that_no_font_has_with_its_letter_is_shown_as_its_code_point() -> None:
    assert "門[U+0B3C]" in "".join(read(pdf(paragraph("門\u0b3c"))))


def test_no_text_is_read_as_markup() -> None:
    shown = " ".join("".join(read(pdf(invoice(MARKUP, name=MARKUP)))).split())
    assert shown.count(MARKUP) >= 2
    assert MARKUP in " ".join("".join(read(pdf(dossier(ticket_summary=MARKUP)))).split())


@pytest.mark.parametrize("name", LONG)
def test_a_text_of_the_longest_length_stays_within_its_column(name: str) -> None:
    sheets = seen(narrow(LONG[name]))
    for number, sheet in enumerate(sheets):
        top = 45 if number == 0 else 18
        assert ink(sheet, (GUTTER[0], top, GUTTER[1], 278)) == 0
        assert ink(sheet, (195, top, 210, 297)) == 0
        assert ink(sheet, (0, 283, 15, 297)) == 0
    assert len(sheets) > 3


def test_a_paragraph_from_right_to_left_begins_at_the_right() -> None:
    arabic, hebrew, latin = (
        seen(paragraph(text))[0] for text in (TEXTS["arabic"], TEXTS["hebrew"], "Door")
    )
    left, right = (16, 43, 60, 60), (150, 43, 195, 60)
    for sheet in (arabic, hebrew):
        assert ink(sheet, right)
        assert not ink(sheet, left)
    assert ink(latin, left)
    assert not ink(latin, right)


def test_each_line_of_a_text_has_its_own_direction() -> None:
    parts = says(f"Door\n{TEXTS['arabic']}\n{TEXTS['hebrew']}\nlast")["paragraphs"]
    assert isinstance(parts, list)
    assert [part["leftward"] for part in parts] == [False, True, True, False]


@pytest.mark.parametrize(
    ("name", "spoken"),
    [("japanese", "ja"), ("korean", "ko"), ("chinese", "zh"), ("hebrew", "he"), ("french", "en")],
)
def test_a_script_that_stands_for_a_language_is_set_in_its_habit(name: str, spoken: str) -> None:
    assert language(TEXTS[name]) == spoken


def test_papers_are_tagged_and_archivable_and_bring_their_fonts() -> None:
    reader = PdfReader(BytesIO(pdf(dossier())))
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/StructTreeRoot"]["/K"]
    metadata = root["/Metadata"].get_data().decode()
    assert ("pdfaid:part" in metadata, "pdfuaid:part" in metadata) == (True, True)
    assert reader.metadata is not None
    assert reader.metadata.title == "Service closeout dossier: Account"
    resources: list[Any] = [sheet["/Resources"] for sheet in reader.pages]
    fonts = [font for each in resources for font in each["/Font"].values()]
    assert fonts
    for font in fonts:
        descriptor = font.get_object()["/DescendantFonts"][0]["/FontDescriptor"]
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)


def test_the_same_page_makes_the_same_bytes_and_bears_its_own_date() -> None:
    content = pdf(dossier())
    assert pdf(dossier()) == content
    info = PdfReader(BytesIO(content)).metadata
    assert info is not None
    assert info.creation_date is not None
    assert info.creation_date.isoformat() == "2026-11-20T12:00:00+00:00"


def test_the_typesetter_reads_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "other.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    tile = {"lines": [], "whole": True, "picture": "../other.svg", "alt": "", "height": 1}
    with pytest.raises(typst.TypstError):
        typeset(page({"block": "tiles", "across": 1, "tiles": [tile]}), folder)


def test_a_character_that_slips_through_costs_the_standard_and_not_the_paper() -> None:
    text = says("a")
    parts = text["paragraphs"]
    assert isinstance(parts, list)
    parts[0]["text"] = "a\U00012031"
    assert pdf(page(listing(("A",), (100,), [[text]]))).startswith(b"%PDF-")


def test_a_beginning_says_that_more_follows_and_the_whole_does_not() -> None:
    assert cut("one\r\ntwo", 100) == "one\ntwo"
    assert cut("one\ntwo", 100, 1) == "one\u2026"
    assert cut("abcdef", 3) == "abc\u2026"
