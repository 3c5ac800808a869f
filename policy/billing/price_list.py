"""The price list: what a draft invoice charges where nobody says what was agreed."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from policy.model import Frozen, Priority

Rate = Annotated[int, Field(ge=0, le=100_000_000)]
"""Cents for an hour or a call: at most a million dollars, so that every total can be written."""
BasisPoints = Annotated[int, Field(ge=0, le=100_000)]


class PriceListError(ValueError):
    """The price list is not usable; the process must not start."""


class PriceList(Frozen):
    """Prices in cents; `tax_basis_points` by `US` or `US-CA`, the longer one first."""

    version: str
    labour_step_minutes: int = Field(ge=1, le=240)
    labour_cents_per_hour: Mapping[Priority, Rate]
    call_out_cents: Mapping[Priority, Rate]
    tax_basis_points: Mapping[str, BasisPoints]

    def tax_of(self, country: str, region: str | None) -> int:
        """Return the tax of a site, in hundredths of a percent."""
        place = f"{country}-{region or ''}".upper()
        return self.tax_basis_points.get(place, self.tax_basis_points.get(country.upper(), 0))


def load_price_list(path: Path | None = None) -> PriceList:
    """Return the list in that file, else the shipped example; raises `PriceListError`."""
    try:
        shipped = files("policy.billing") / "price_list.toml"
        text = (path or shipped).read_text("utf-8")
        return PriceList.model_validate(tomllib.loads(text))
    except (OSError, ValueError, ValidationError) as error:
        raise PriceListError(f"the price list cannot be read: {error}") from error
