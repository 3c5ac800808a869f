"""The words of `words.toml`: what parameters mean, and what the routes that are no tools do."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict


class Words(BaseModel):
    """The document: a sentence by a parameter's name, a paragraph by method and path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: Mapping[str, str]
    operations: Mapping[str, str]


@cache
def load_words() -> Words:
    """Return the shipped words."""
    text = (files("api.openapi") / "words.toml").read_text("utf-8")
    return Words.model_validate(tomllib.loads(text))
