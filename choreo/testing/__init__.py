"""Contract suites that ship with Choreo: subclass one to prove a backend of your own. Nothing here is imported to run."""
