"""Choreo beside programs that are not Choreo: official conformance features, clients in Java."""
