"""What does not fit in a project: services, specs, schemas, topics and settings read as one; nothing is run."""
