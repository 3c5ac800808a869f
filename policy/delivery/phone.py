"""Whether two telephone numbers are one, however each is written."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

SHORTEST, LONGEST = 7, 20
"""Digits of a number with everything that may be written around it."""
TAIL = 7
"""So many digits at the end of a number are the same in all its spellings, extensions apart."""
_NO_DIGIT = re.compile(r"[^0-9]")
_ABROAD = re.compile(r"^(?:00|011)")
_MOBILE_MARKS = re.compile(r"^\+(?:52(?=1\d{10}$)1|54(?=9\d{10}$)9)")
"""The digit by which Mexico once marked mobiles, and Argentina still does from abroad."""


def digits_of(written: str) -> str:
    """Return the digits of a number, as a ticket keeps them."""
    return _NO_DIGIT.sub("", written)


def same_number(sender: str, written: str, country: str) -> bool:
    """Return whether both may mean one number to somebody in `country` (an ISO code).

    What is no number that could be dialled is compared by its digits.
    """
    if digits_of(sender) == digits_of(written):
        return digits_of(sender) != ""
    return not numbers_of(sender, country).isdisjoint(numbers_of(written, country))


@lru_cache(maxsize=4096)
def numbers_of(written: str, country: str) -> frozenset[str]:
    """Return what a number may mean, as E.164 has it and without extension.

    Where digits alone were kept, a leading plus, a trunk zero in parentheses and the mark of an
    extension are lost, so there may be several meanings; a written plus leaves one.
    """
    # Not at the top: only who reads numbers pays for the library and its tables.
    import phonenumbers  # noqa: PLC0415

    region, digits = country.strip().upper(), digits_of(written)
    if not SHORTEST <= len(digits) <= LONGEST:
        return frozenset()

    def read(meaning: str, suits: Callable[[phonenumbers.PhoneNumber], bool]) -> str | None:
        try:
            number = phonenumbers.parse(meaning, region)
        except phonenumbers.NumberParseException:
            return None
        national = phonenumbers.national_significant_number(number)
        return _plain(f"+{number.country_code}{national}") if suits(number) else None

    possible, valid = phonenumbers.is_possible_number, phonenumbers.is_valid_number
    found = {read(each, possible) for each in _meanings(written, digits)} - {None}
    shorter = list(_without_extension(written, digits))
    found |= {read(each, valid) for each in shorter}
    if not found - {None}:
        found |= {next(filter(None, (read(each, possible) for each in shorter)), None)}
    return frozenset(each for each in found if each is not None)


def _meanings(written: str, digits: str) -> Iterator[str]:
    """Yield what a number may mean as a whole: within the country, and from abroad."""
    if written.lstrip().startswith("+"):
        yield _plain(f"+{digits}")
        yield written
        return
    abroad = _ABROAD.sub("", digits)
    yield from (written, _plain(f"+{digits}"), _plain(f"+{abroad}"))


def _without_extension(written: str, digits: str) -> Iterator[str]:
    """Yield what is left of a number whose last digits are an extension, the longest first."""
    if written.lstrip().startswith("+"):
        return
    for length in range(len(digits) - 1, SHORTEST - 1, -1):
        yield digits[:length]
        yield _plain(f"+{digits[:length]}")


def _plain(number: str) -> str:
    """Return a number without the mark of a mobile, which only some write."""
    return _MOBILE_MARKS.sub(lambda mark: mark.group()[:-1], number)
