"""Contract suites that ship with Choreo: subclass one to prove a backend of your own. No service imports these."""
