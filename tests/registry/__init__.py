"""Schema registries that are servers: the client's promises, and a real one."""
