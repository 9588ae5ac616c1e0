"""Whether the inputs of each service are cut alike: partition n of all of them makes task n."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography
from choreo.checks.finding import Finding, Spot


def find_partitions(whole: Choreography) -> Iterator[Finding]:
    """Services whose inputs have, or are to have, different numbers of partitions."""
    for plan in whole.plans:
        known = {topic: whole.counts[topic] for topic in plan.topics if topic in whole.counts}
        if len({count.partitions for count in known.values()}) > 1:
            shown = ", ".join(f"{topic} {count.partitions}" for topic, count in sorted(known.items()))
            says = f"the inputs of service {plan.service.name} have different numbers of partitions: {shown}"
            spots = [count.said_by for _, count in sorted(known.items()) if isinstance(count.said_by, Spot)]
            cure = "make them equal: an event would be looked for in the wrong task"
            yield Finding("not-co-partitioned", says, spots[0] if spots else None, cure)
