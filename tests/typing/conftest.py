"""The sample's own tests are read by type checkers here, not run: they are a project of their own."""

collect_ignore = ["sample"]
