"""Several workers in one process: slots in private memory that are read together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask_expvar import Registry
from flask_expvar.variables.reading import Part
from flask_expvar.variables.slot import Slot


class Together:
    """A store among others, each of which a registry of its own counts in."""

    def __init__(self, number: int, parts: list[Part]) -> None:
        self.slot = Slot()
        self._parts = parts
        self.part = Part(number, 100 + number, 0, True, True, 0, self.slot.nodes)
        parts.append(self.part)

    def parts(self) -> list[Part]:
        return self._parts

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield

    def deleting(self) -> None:
        self.part.deletions += 1


def workers(number: int = 3) -> tuple[list[Registry], list[Part]]:
    parts: list[Part] = []
    registries = [Registry("shop") for _ in range(number)]
    for at, registry in enumerate(registries):
        registry.attach(Together(at, parts))
    return registries, parts
