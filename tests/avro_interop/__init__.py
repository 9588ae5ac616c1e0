"""Avro as its own project tests it: files, schemas and bodies that every implementation must read or reject."""
