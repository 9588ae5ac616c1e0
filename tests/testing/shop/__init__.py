"""The sample shop of a user, without its schedule, and the tests that such a user writes."""
