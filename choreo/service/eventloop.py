"""Coroutines that are run to their end at once, wherever that is asked for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Answer = TypeVar("Answer")


def to_end(run: Callable[[], Answer]) -> Answer:
    """What `run` answers, which runs an event loop: here, or on a thread of its own where a loop runs here already,
    as in an asynchronous test or a notebook.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1, "choreo-eventloop") as thread:
        return thread.submit(copy_context().run, run).result()
