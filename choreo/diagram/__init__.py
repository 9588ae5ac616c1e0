"""Pictures as text: a spec, a choreography, a run; Mermaid for pages, SVG without a network, lines for the console."""
