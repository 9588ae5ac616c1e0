"""The entries of a task: backends, keys, values, due times, changelog, restore. What entries mean is above."""
