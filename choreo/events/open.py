"""Opens a registry by its address."""

from choreo.errors import ConfigError
from choreo.events.registry import DirectoryRegistry, MemoryRegistry, Registry, RegistryOptions, checked


def open_registry(url: str, options: RegistryOptions | None = None) -> Registry:
    """The registry at `memory:`, `dir:PATH` or `http(s)://[USER:PASSWORD@]HOST[:PORT]/PATH[?OPTION=VALUE&...]`.

    Raises ConfigError for anything else.
    """
    kind, _, path = url.partition(":")
    if kind in ("http", "https"):
        from choreo.events.http_registry import HttpRegistry  # TLS and HTTP cost their share of a start

        return HttpRegistry(url, options)
    registry: Registry
    if url == "memory:":
        registry = MemoryRegistry()
    elif kind == "dir" and path:
        registry = DirectoryRegistry(path)
    else:
        raise ConfigError(f"{url}: there is no such kind of registry", hint="memory:, dir:PATH or https://HOST/PATH")
    registry.subjects_by = checked(options).subjects if options else "record"
    return registry
