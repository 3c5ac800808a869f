"""Public holidays on which a place closes, and which region a text means."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files

import holidays
from holidays.version import __version__ as holidays_version

from policy.canonical import sha256_hex

PUBLIC = ("public",)
OBSERVED = " (observed)"


@lru_cache(maxsize=4096)
def closing_days(country: str, region: str | None, year: int) -> Mapping[date, str]:
    """Return the days of a year on which a place closes by date, substitute days included.

    Where a region's own holidays are partly days on which nobody closes, only those count that
    `closing_days.toml` lists; a day of the whole country counts if the region has it.
    """
    found = _public(country, region, year)
    own = _own_days().get(country)
    if region is None or own is None:
        return found
    nation, closes = _public(country, None, year), own.get(region, frozenset())
    return {
        day: name
        for day, name in found.items()
        if day in nation or closes & {each.removesuffix(OBSERVED) for each in name.split("; ")}
    }


def known_country(text: str) -> str | None:
    """Return the code of a country whose holidays are known."""
    code = text.strip().upper()
    return code if code in _regions() else None


def known_region(country: str, text: str) -> str | None:
    """Return the code of a country's region: by its code, alone or as in ISO 3166-2, or its name.

    `BY`, `de-by` and `Bayern` are one region of DE.
    """
    wanted = text.strip().casefold().removeprefix(f"{country.casefold()}-")
    return _spellings(country).get(wanted)


@cache
def days_mark() -> str:
    """Return a hash that changes with the holidays that are known, and with those that count."""
    return sha256_hex([holidays_version, _table()])


def _public(country: str, region: str | None, year: int) -> Mapping[date, str]:
    return dict(
        holidays.country_holidays(
            country, subdiv=region, years=year, language="en_US", categories=PUBLIC
        )
    )


@cache
def _regions() -> Mapping[str, list[str]]:
    return holidays.list_supported_countries()


@cache
def _spellings(country: str) -> Mapping[str, str]:
    named = holidays.country_holidays(country).get_subdivision_aliases()
    names = {name.casefold(): code for code, names in named.items() for name in names}
    return names | {code.casefold(): code for code in _regions()[country]}


@cache
def _own_days() -> Mapping[str, Mapping[str, frozenset[str]]]:
    return {
        country: {region: frozenset(names) for region, names in table.items()}
        for country, table in tomllib.loads(_table()).items()
    }


def _table() -> str:
    return (files("policy.clock") / "closing_days.toml").read_text("utf-8")
