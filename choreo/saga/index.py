"""The index of instances by remembered field: entries of the coordinator's store, restored from its changelog."""

import json
from collections.abc import Mapping
from typing import Any

from choreo.saga.instance import Instance
from choreo.service.store import Index

INDEX = Index[tuple[str, str, str]](name="by_field")
"""Keys are (field, value as text, key of the saga)."""
LONGEST = 256
"""Characters of a value that are indexed; who looks a longer one up compares the instance."""


def text_of(value: Any) -> str | None:
    """A value as JSON has it, as people write it; None for lists and tables, which are not indexed."""
    if isinstance(value, list | tuple | dict):
        return None
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST]


def rewrite(index: Index[tuple[str, str, str]], key: str, before: Instance | None, after: Instance | None) -> None:
    """Bring the entries of one saga from what it remembered to what it remembers."""
    was, now = before.remembered if before else {}, after.remembered if after else {}
    if was is now:
        return
    old, new = _entries(was), _entries(now)
    for field, value in sorted(old - new):
        index.pop((field, value, key), None)
    for field, value in sorted(new - old):
        index[field, value, key] = True


def _entries(remembered: Mapping[str, Any]) -> set[tuple[str, str]]:
    texts = ((field, text_of(value)) for field, value in remembered.items())
    return {(field, text) for field, text in texts if text is not None}
