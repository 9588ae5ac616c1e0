"""What `make bench` runs, at the size of a smoke test."""
