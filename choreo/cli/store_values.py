"""Entries of a service's stores as people and programs see them: typed as the service declares them, personal fields
masked.
"""

from typing import Any

from pydantic_core import from_json, to_jsonable_python

from choreo.errors import StateError
from choreo.replay.findings import shown
from choreo.service.service import Service
from choreo.state.keys import split_key
from choreo.state.values import ValueCodec
from choreo.telemetry.privacy import masked


class StoreValues:
    """The values of one service's stores."""

    def __init__(self, service: Service) -> None:
        stores = [store for signature in service.signatures for store in signature.stores.values()]
        self._codecs: dict[str, ValueCodec] = {store.name: store.codecs()[1] for store in stores}

    def plain(self, store: str, data: bytes | None) -> Any:
        """What a value says, None where there is none; as text what no declaration of the service can read."""
        if data is None:
            return None
        codec = self._codecs.get(store)
        try:
            return to_jsonable_python(masked(codec.load(data))) if codec is not None else from_json(data[1:])
        except (StateError, ValueError):
            return shown(data)


def key_text(parts: tuple[object, ...]) -> str:
    """The key of an entry: its parts, the first one first."""
    return " / ".join(str(part) for part in parts)


def place_of(key: bytes) -> tuple[str, tuple[object, ...]]:
    """The store and the parts of a key; of one that is none, its bytes."""
    try:
        return split_key(key)
    except ValueError:
        return "?", (key,)
