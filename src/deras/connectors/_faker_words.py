"""Word lists of the faker connector."""

from __future__ import annotations

import functools
from importlib import resources

ALIASES = {
    "address.cityname": "address.city",
    "colour.name": "color.name",
    "country.countrycode2": "address.countrycode",
    "country.name": "address.country",
    "drwho.characters": "drwho.character",
    "drwho.thedoctors": "drwho.thedoctor",
    "harrypotter.characters": "harrypotter.character",
    "harrypotter.houses": "harrypotter.house",
    "harrypotter.locations": "harrypotter.location",
    "harrypotter.spells": "harrypotter.spell",
    "hitchhikersguidetothegalaxy.species": "hitchhikersguidetothegalaxy.specie",
    "internet.useragent": "internet.useragentany",
    "starwars.characters": "starwars.character",
}
"""Other names of methods, and what they stand for."""


@functools.cache
def lists() -> dict[str, tuple[str, ...]]:
    """By provider and method in small letters: what they may give."""
    found = {}
    text = resources.files(__package__).joinpath("_faker_words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        name, _, words = line.partition(": ")
        if not line.startswith("#"):
            found[name] = tuple(words.split(" | "))
    found["name.firstname"] = found["name.femalefirstname"] + found["name.malefirstname"]
    return found
