"""`choreo config show`: every setting and where it came from."""

from choreo.cli.options import command
from choreo.cli.project import Project


@command("show")
def show(project: Project) -> None:
    """Each setting, its value and where it came from. Secrets are masked."""
    config = project.config
    rows = [{"name": value.name, "value": value.shown, "from": value.origin} for value in config.values]
    derived = {"registry.url": config.registry_url(), "run.state_dir": str(config.state_dir())}
    for row in rows:
        if row["value"] == "" and row["name"] in derived:
            row |= {"value": derived[str(row["name"])], "from": "follows from log.url"}
    project.output.listing(rows, ["name", "value", "from"])
