"""Which code a worker runs: a digest that changes when the handlers do, so that a replay knows where builds meet."""

import hashlib
import inspect
import sys
from importlib.metadata import version

from choreo.service.service import Service

LENGTH = 12


def build_of(service: Service) -> str:
    """The first digits of SHA-256 over Choreo's version and the source files of the service's handlers."""
    digest = hashlib.sha256(version("choreo").encode())
    for name in sorted({handler.__module__ for handler in service.handlers}):
        digest.update(name.encode())
        module = sys.modules.get(name)
        try:
            digest.update(inspect.getsource(module).encode() if module is not None else b"")
        except (OSError, TypeError):  # made at a prompt, or in a frozen program
            digest.update(b"?")
    return digest.hexdigest()[:LENGTH]
