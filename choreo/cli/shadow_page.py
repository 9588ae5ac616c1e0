"""The report of a shadow run as one HTML file: no script, nothing from elsewhere, in light and in dark."""

from collections import Counter
from html import escape
from typing import Any

from choreo.cli.shadow_rows import SAID, Shown, both, circumstances, headline, verdict
from choreo.replay.deviations import Report

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --ground: #ffffff; --tint: #f6f8fa;
  --live: #fff1f0; --new: #eefbf0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --ground: #0d1117;
  --tint: #151b23; --live: #301a1f; --new: #12261e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: .2rem; }
p.soft { color: var(--soft); margin-top: 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; table-layout: fixed; }
th, td { text-align: left; padding: .3rem .6rem; border: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { background: var(--tint); font-weight: 600; } td.number { text-align: right; width: 6rem; }
td.live { background: var(--live); } td.new { background: var(--new); } code { font: 13px ui-monospace, monospace; }
"""


def page_of(report: Report, sides: Shown) -> str:
    """The whole page."""
    found = verdict(report)
    body = [
        f"<h1>{escape(report.service)}: {found}</h1>",
        f'<p class="soft">{report.inputs:,} inputs in {report.checkpoints:,} checkpoints of {report.tasks} tasks; '
        f"{report.emissions:,} events and {report.entries:,} entries compared; {report.us_per_input:.0f} µs an input."
        "</p>",
        *(f"<p>Not compared: {escape(said)}.</p>" for said in report.partial),
        *(f"<p>{escape(topic)} was not read live: nothing of it was handled.</p>" for topic in report.unread),
        _counts("By handler", "Handler", report.by_handler),
        _counts("By event and store", "Event or store", report.by_event),
        _counts("By saga", "Saga", report.by_saga),
        _table("Fields", ("Event", "Field"), report.fields),
        _table("Ends of sagas", ("Live", "New"), report.ends),
        _table("Attempts that failed", ("Handler", "Error"), report.failures),
        _table("Calls that are not in the journal", ("Call", ""), _of_one(report.seen.new_calls)),
        _table("Calls that are not made any more", ("Call", ""), _of_one(report.seen.dropped_calls)),
    ]
    telling = report.most_telling()
    body += ["<h2>The most telling differences</h2>"] if telling else []
    for one, stories in telling:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td class=live><code>{escape(live)}</code></td>"
            f"<td class=new><code>{escape(new)}</code></td></tr>"
            for name, live, new in both(one, sides)
        )
        body.append(
            f"<h3>{escape(headline(one, stories, sides))}</h3><p class=soft>{escape(circumstances(one, sides))}</p>"
            f"<table><tr><th></th><th>Live</th><th>New code</th></tr>{rows}</table>"
        )
    if report.consequences:
        body.append(f"<p>{report.consequences:,} further differences stand behind the first of their story.</p>")
    title = escape(f"Shadow run of {report.service}")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    top = f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>'
    return "\n".join([top, "<body>", *filter(None, body), "</body></html>", ""])


def _counts(heading: str, first: str, counts: Counter[Any]) -> str:
    return _table(heading, (first, "What"), Counter({(name, SAID[what]): n for (name, what), n in counts.items()}))


def _of_one(counts: Counter[str]) -> Counter[tuple[str, str]]:
    return Counter({(name, ""): count for name, count in counts.items()})


def _table(heading: str, columns: tuple[str, str], counts: Counter[Any]) -> str:
    if not counts:
        return ""
    rows = "".join(
        f'<tr><td>{escape(str(one))}</td><td>{escape(str(other))}</td><td class="number">{count:,}</td></tr>'
        for (one, other), count in counts.most_common()
    )
    first, second = map(escape, columns)
    return f"<h2>{escape(heading)}</h2><table><tr><th>{first}</th><th>{second}</th><th>Count</th></tr>{rows}</table>"
