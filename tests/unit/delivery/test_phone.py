"""Telephone numbers are one or not, however the country writes them."""

import pytest

from policy.delivery.phone import same_number


@pytest.mark.parametrize(
    ("sender", "written", "country"),
    [
        ("+447700900123", "07700900123", "GB"),
        ("+447700900123", "4407700900123", "GB"),  # +44 (0)7700 900123
        ("+447700900123", "447700900123", "US"),
        ("+447700900123", "011447700900123", "US"),
        ("07700 900123", "447700900123", "GB"),
        ("+14155550123", "4155550123", "US"),
        ("+14155550123", "1415555012377", "US"),  # +1 415 555 0123 ext. 77
        ("+12125550123", "212555012312", "us"),
        ("+15550100199", "1555010019912", "US"),
        ("+1 (415) 555-0123", "+1 415 555 0123 x77", "US"),
        ("+5215512345678", "5512345678", "MX"),
        ("+525512345678", "5215512345678", "MX"),
        ("+525512345678", "0115215512345678", "US"),
        ("+5491123456789", "1123456789", "AR"),
        ("+4915112345678", "015112345678", "DE"),
        ("004915112345678", "4915112345678", "FR"),
        ("+390612345678", "0612345678", "IT"),
        ("+61412345678", "0412345678", "AU"),
        ("12345", "12345", "US"),
    ],
)
def test_a_reply_fits_a_ticket_that_wrote_the_number_otherwise(
    sender: str, written: str, country: str
) -> None:
    assert same_number(sender, written, country)


@pytest.mark.parametrize(
    ("sender", "written", "country"),
    [
        ("+447700900124", "07700900123", "GB"),
        ("+14155550123", "07700900123", "GB"),
        ("+4912345678901", "0612345678901", "FR"),
        ("+33612345678", "0612345678", "IT"),
        ("BANK", "", "US"),
        ("", "", "US"),
        ("+" + "9" * 100, "9" * 16, "US"),
        ("+14155550123", "4155550123", "DE"),
    ],
)
def test_another_number_fits_none(sender: str, written: str, country: str) -> None:
    assert not same_number(sender, written, country)
