"""Runs services: worker, loop, task, checkpoint, assignment. It knows no saga."""
