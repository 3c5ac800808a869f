"""Hostile texts and JSON of any size: what makes a careless reader slow."""

import re
from collections.abc import Callable, Mapping
from functools import cache

NAMES, DEAR = 49_000, 9_900
"""A little less than a body may have: members with a name, and what costs most."""
UNITS = (
    *("a", "0", " ", "\t", '"', "\\", '\\"', "'", "-", "_", ",", ";", "=", ".", "@", "/", "%", "&"),
    *(
        ":",
        "+",
        "{",
        "[",
        "<",
        "\xe9",
        "a@",
        "a.",
        "a,",
        "a;",
        "a=",
        "_V1",
        "_V",
        "a b",
        '"a',
        ' "',
    ),
    *(
        '"\\',
        '"\\"',
        ",;",
        "q=",
        "wait",
        "wait=",
        "00-",
        "1e9,",
        "*,",
        "\\u",
        "\\u003a",
        "ff",
        "v1,",
    ),
)
ENDS = ("", "!", '"')


def text_of(unit: str, end: str = "", start: str = "") -> Callable[[int], str]:
    """Return what makes a text of so many characters: a start, a unit again and again, an end."""
    return cache(lambda size: start + unit * ((size - len(start) - len(end)) // len(unit)) + end)


TEXTS: Mapping[str, Callable[[int], str]] = {
    repr((unit, end)): text_of(unit, end) for unit in UNITS for end in ENDS
}


def _array(element: str) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        count = min(size // (len(element.encode()) + 1), 199_000 // (1 + _inner(element)))
        return b'{"a":[' + ",".join([element] * count).encode() + b"]}"

    return make


def _inner(element: str) -> int:
    return element.count(",") + element.count(":") + element.count("[") - element.count("[]")


def _object(member: str) -> Callable[[int], bytes]:
    """Return what makes an object of no more names than are legal; `#` is a member's number."""

    def make(size: int) -> bytes:
        members: list[str] = []
        while size > 0 and len(members) < NAMES // member.count('":'):
            members.append(member.replace("#", f"{len(members):x}"))
            size -= len(members[-1].encode()) + 1
        return ("{" + ",".join(members) + "}").encode()

    return make


def _numbers(form: str) -> Callable[[int], bytes]:
    """Return what makes an array of numbers of which no two are equal; `#` is the number of one."""

    def make(size: int) -> bytes:
        count = min(size // (len(form) + 6), 199_000)
        return (
            b'{"a":[' + ",".join(form.replace("#", str(n)) for n in range(count)).encode() + b"]}"
        )

    return make


def _text(unit: str) -> Callable[[int], bytes]:
    return lambda size: b'{"a":"' + (unit * (size // len(unit.encode()))).encode() + b'"}'


def _deep(size: int) -> bytes:
    return b'{"a":[' + b",".join([b"[" * 97 + b"]" * 97] * (size // 195)) + b"]}"


def _long_name_over_an_array(size: int) -> bytes:
    name = b"n" * min(1000, size // 2)
    count = min((size - len(name)) // 2, 199_000)
    return b'{"' + name + b'":[' + b",".join([b"0"] * count) + b"]}"


def _a_sensitive_name_among_many(size: int) -> bytes:
    return b'{"phone":1,' + _object('"#":0')(size - 11)[1:]


def _the_dearest_of_all_kinds(size: int) -> bytes:
    few = min(size // 400, DEAR // 4)
    numbers = _numbers("1.#e17")(14 * few)[5:-1]
    objects = _array('{"b":{"c":[]}}')(15 * few)[5:-1]
    left = min(size - len(numbers) - len(objects) - 40, 12 * (NAMES - 2 * few))
    rest = _object('"\u20ac#":0')(left)
    return b'{"phone":1,"a":%s,"b":%s,' % (numbers, objects) + rest[1:]


def _as_many_as_may_be(element: str) -> Callable[[int], bytes]:
    """Return what makes an array of as many dear elements as are legal."""
    dear = len(re.findall(r"[\[{](?![\]}])", element)) or 1
    make = _array(element)
    return lambda size: make(min(size, DEAR // dear * (len(element) + 1)))


JSON: Mapping[str, Callable[[int], bytes]] = {
    "a long name over an array": _long_name_over_an_array,
    "deep": _deep,
    "the dearest of all kinds": _the_dearest_of_all_kinds,
    "a sensitive name among many": _a_sensitive_name_among_many,
    **{
        f"array of {each}": _array(each)
        for each in (
            *("0", "-1", "0.5", "1e16", "1.0", "123456789.125", "1.2345678e20", "1.5e-6", "1e300"),
            *("12345678901234567", "null", "true", '""', '"\u20ac"', '"\U0001f600"', '"\\u003a"'),
            *("[]", "{}", "[[]]", "[0]", '{"a":0}', '{"phone":1}', '{"a":{"b":[]}}'),
        )
    },
    **{
        f"as many {each} as may be": _as_many_as_may_be(each)
        for each in ("0.5", "1e300", "[[]]", "[0]", '{"a":0}', '{"a":{"b":[]}}')
    },
    **{
        f"numbers like {each}": _numbers(each)
        for each in ("#.0", "0.#", "1.#e17", "#e11", "9#e-7", "1#0000000000000")
    },
    **{
        f"object of {each}": _object(each)
        for each in (
            *(
                '"#":0',
                '"\u20ac#":0',
                '"\U0001f600#":0',
                '"phone#":0',
                '"\\u003a#":":"',
                '"#":{"#":[]}',
            ),
            *('"#":"\\u003a"', '"#":null', '"#":[{"email":"#"}]', '"#token":[1,2,3]'),
        )
    },
    **{
        f"text of {each}": _text(each)
        for each in (
            *(
                "x",
                "\u20ac",
                "\U0001f600",
                "\\u0000",
                "\\ud83d\\ude00",
                "\\u003a",
                "\\\\",
                '\\"',
                ":",
            ),
            *("_V1", "a@a.", "1", "\\t"),
        )
    },
}
"""Bodies of about so many bytes; from 1 MiB on they are within the limits all the same."""
