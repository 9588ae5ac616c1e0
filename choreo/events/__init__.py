"""Meaning: typed events, their Avro schemas, their ids, and the way to records and back."""
