"""Pictures of specs and of the choreography: everything is there, nothing covers anything, each time the same."""

from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from choreo.diagram.discovered import Discovered, Gone, graph_of_runs
from choreo.diagram.drawing import graph_of_project, graph_of_spec
from choreo.diagram.graph import Arrow, Box, Graph
from choreo.diagram.layered import crossings, lay_out
from choreo.diagram.mermaid import as_flowchart
from choreo.diagram.parts import Parts
from choreo.diagram.svg import as_svg
from tests.diagram.move import move
from tests.saga.shop import ORDER, spec_of

SVG = "{http://www.w3.org/2000/svg}"
SPEC = spec_of()


class Drawn:
    """An SVG as a reader finds it: boxes by name with their kind and text, arrows by both ends."""

    def __init__(self, text: str) -> None:
        root = ElementTree.fromstring(text)
        self.title = root.findtext(f"{SVG}title")
        groups = [group for group in root.iter(f"{SVG}g") if group.get("class")]
        self.boxes = {
            str(one.get("data-name")): (str(one.get("class")), _said(one)) for one in groups if one.get("data-name")
        }
        self.arrows = {
            (str(one.get("data-from")), str(one.get("data-to"))): (str(one.get("class")), _said(one))
            for one in groups
            if one.get("data-from")
        }


def _said(group: ElementTree.Element) -> list[str]:
    return [str(line.text) for line in group.iter(f"{SVG}tspan")]


def test_every_step_edge_compensation_and_pivot_of_a_spec_is_there() -> None:
    """The SVG of a spec holds all of it, no more and no less."""
    drawn = Drawn(as_svg(graph_of_spec(SPEC)))
    assert drawn.title == "saga order, version 1"
    assert drawn.boxes == {
        "start": ("box event", ["OrderPlaced"]),
        "step reserve": (
            "box step",
            ["reserve", "done on StockReserved", "fails on StockRejected", "within 30s", "then all is undone"],
        ),
        "undo reserve": (
            "box undo",
            [
                "undo reserve",
                "asks StockReleaseRequested",
                "done on StockReleased",
                "fails on StockReleaseFailed",
                "within 1m",
                "asked twice in all",
                "10s apart",
            ],
        ),
        "step pay": (
            "box step",
            [
                "pay",
                "done on PaymentTaken",
                "fails on PaymentDeclined",
                "may have happened on PaymentUnknown",
                "within 1h",
                "then all is undone",
            ],
        ),
        "undo pay": ("box undo", ["undo pay", "asks RefundRequested", "done on PaymentRefunded", "within 1h"]),
        "step ship": (
            "box step",
            ["ship", "asks ShipmentRequested", "done on ParcelHandedOver", "within 2d", "then all is undone"],
        ),
        "undo ship": (
            "box undo",
            ["undo ship", "asks ParcelRecallRequested", "done on ParcelRecalled", "within 1h"],
        ),
        "step deliver": (
            "box pivot",
            [
                "deliver (pivot)",
                "done on OrderDelivered",
                "within 30d",
                "then it is overdue, and goes on",
                "once done there is only forward",
            ],
        ),
        "completed": ("box end", ["completed"]),
        "cancel": ("box event", ["OrderCancelled"]),
        "cancelled": ("box end", ["cancelled", "what was done is undone"]),
    }
    assert drawn.arrows == {
        ("start", "step reserve"): ("arrow forward", []),
        ("start", "step pay"): ("arrow forward", ["when saga.total > 0"]),
        ("step reserve", "step ship"): ("arrow forward", []),
        ("step pay", "step ship"): ("arrow forward", []),
        ("step ship", "step deliver"): ("arrow forward", []),
        ("step deliver", "completed"): ("arrow forward", []),
        ("step reserve", "undo reserve"): ("arrow undo", []),
        ("step pay", "undo pay"): ("arrow undo", []),
        ("step ship", "undo ship"): ("arrow undo", []),
        ("cancel", "cancelled"): ("arrow cancel", ["until deliver is done", "later CancellationRefused"]),
    }


def test_mermaid_holds_the_same() -> None:
    """Each box and each arrow of the graph is a line; signs that mean something to Mermaid are written as entities."""
    graph = graph_of_spec(SPEC)
    lines = as_flowchart(graph).splitlines()
    assert lines[:4] == ["---", "title: saga order, version 1", "---", "flowchart TD"]
    assert (
        '    n7[["deliver (pivot)<br>done on OrderDelivered<br>within 30d<br>then it is overdue, and goes on<br>'
        'once done there is only forward"]]'
    ) in lines
    assert '    n0 -->|"when saga.total #gt; 0"| n3' in lines
    assert "    n1 -.-> n2" in lines
    assert len(lines) == 4 + len(graph.boxes) + len(graph.arrows)


def choreography() -> Graph:
    """The sample shop."""
    from services.shop.inventory.service import inventory
    from services.shop.payments.service import payments

    return graph_of_project(Parts((inventory, payments)))


def test_the_choreography_shows_services_topics_and_events() -> None:
    """Each service is joined to each topic that it writes or reads, by the events that go that way."""
    drawn = Drawn(as_svg(choreography()))
    assert {"service inventory", "service payments", "topic shop.inventory", "topic shop.payments"} <= set(drawn.boxes)
    assert drawn.arrows["service payments", "topic shop.payments"][1] == [
        "PaymentDeclined",
        "PaymentRefunded",
        "PaymentTaken",
    ]
    assert drawn.arrows["topic shop.payments", "service payments"][1] == ["RefundRequested"]
    assert drawn.arrows["outside", "topic shop.orders"][1] == ["OrderPlaced"]


def test_a_saga_stands_among_the_services() -> None:
    """A saga takes and emits as a service does."""
    from tests.saga.shop import EVENTS

    drawn = Drawn(as_svg(graph_of_project(Parts((), (spec_of(ORDER),), EVENTS))))
    assert drawn.boxes["saga order"] == ("box saga", ["saga order"])
    assert "ShipmentRequested" in drawn.arrows["saga order", "topic shop.orders"][1]
    assert "PaymentTaken" in drawn.arrows["topic shop.orders", "saga order"][1]


@pytest.mark.parametrize(
    "graph", [graph_of_spec(SPEC), graph_of_spec(move()), choreography()], ids=["spec", "all of it", "choreography"]
)
def test_nothing_covers_anything(graph: Graph) -> None:
    """No two boxes and no two labels overlap, and all of them are inside the picture."""
    layout = lay_out(graph)
    spots = [spot for spot in layout.spots.values() if spot.height]
    for one, other in combinations(spots, 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2 - 0.01
        assert beside or abs(one.y - other.y) >= (one.height + other.height) / 2, (one, other)
    for spot in spots:
        assert spot.x - spot.width / 2 >= 0
        assert spot.x + spot.width / 2 <= layout.width
        assert spot.y - spot.height / 2 >= 0
        assert spot.y + spot.height / 2 <= layout.height


def beneath(graph: Graph) -> list[tuple[str, str, str]]:
    """Arrows that run beneath a box which is not one of their ends, with that box."""
    layout, found = lay_out(graph), []
    for group in ElementTree.fromstring(as_svg(graph)).iter(f"{SVG}g"):
        ends, path = (str(group.get("data-from")), str(group.get("data-to"))), group.find(f"{SVG}path")
        if path is None:
            continue
        points = [tuple(map(float, point.split())) for point in str(path.get("d"))[1:].split(" L")]
        steps = [(one, other, n / 50) for one, other in pairwise(points) for n in range(51)]
        on_the_way = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b, t in steps]
        for box in graph.boxes:
            spot = layout.spots[box.name]
            inside = (abs(x - spot.x) < spot.width / 2 and abs(y - spot.y) < spot.height / 2 for x, y in on_the_way)
            if box.name not in ends and any(inside):
                found.append((*ends, box.name))
    return found


def test_no_arrow_runs_beneath_a_box() -> None:
    """An arrow that passes a layer goes down beside its boxes, however tall they are, and turns only below them."""
    names = ("ask", "seats", "stay", "no seats", "no stay", "bus", "no bus", "pay")
    boxes = tuple(Box(name, (name,) * (5 if "stay" in name else 3), "step") for name in names)
    ways = [("ask", "seats"), ("ask", "stay"), ("seats", "no seats"), ("stay", "no stay"), ("stay", "bus")]
    ways += [("bus", "no bus"), ("seats", "pay"), ("bus", "pay")]
    arrows = tuple(Arrow(source, to, ("when somebody wants it",) if to == "bus" else ()) for source, to in ways)
    assert beneath(Graph("trip", boxes, arrows)) == []
    assert beneath(choreography()) == beneath(graph_of_spec(SPEC)) == beneath(graph_of_spec(move())) == []


def test_the_same_graph_is_drawn_the_same() -> None:
    """Byte for byte: a picture in a repository changes only when the project does."""
    assert as_svg(choreography()) == as_svg(choreography())


def test_circles_and_arrows_to_itself_are_drawn() -> None:
    """An arrow that closes a circle goes up; one to its own box does not stop the layout."""
    boxes = tuple(Box(name, (name,), "service") for name in "abc")
    arrows = (Arrow("a", "b"), Arrow("b", "c"), Arrow("c", "a", ("back",)), Arrow("b", "b"))
    layout = lay_out(Graph("circle", boxes, arrows))
    assert [layout.spots[name].layer for name in "abc"] == [0, 2, 4]
    assert layout.ways[2].spots[0] == "c"
    assert layout.ways[2].spots[-1] == "a"
    assert Drawn(as_svg(Graph("circle", boxes, arrows))).arrows["c", "a"][1] == ["back"]


def test_crossings_are_undone() -> None:
    """Boxes that stand the wrong way round are put right: none of these arrows needs to cross."""
    boxes = tuple(Box(name, (name,), "service") for name in ("a", "b", "c", "d", "e", "f"))
    arrows = (Arrow("a", "f"), Arrow("b", "e"), Arrow("c", "d"))
    below: dict[str, list[str]] = {"a": ["f"], "b": ["e"], "c": ["d"]}
    assert crossings([["a", "b", "c"], ["d", "e", "f"]], below | {name: [] for name in "def"}) == 3
    layout = lay_out(Graph("crossed", boxes, arrows))
    upper = [name for name in layout.layers[0] if name in "abc"]
    lower = [name for name in layout.layers[2] if name in "def"]
    assert [dict(zip("abc", "fed", strict=True))[name] for name in upper] == lower


def test_signs_of_xml_are_escaped() -> None:
    """What stands in a condition is text, never markup."""
    boxes = (Box("a<b", ('x < "y" & z',), "step"), Box("c", ("c",), "end"))
    drawn = Drawn(as_svg(Graph("a & b", boxes, (Arrow("a<b", "c", ("p < q",)),))))
    assert drawn.title == "a & b"
    assert drawn.boxes["a<b"][1] == ['x < "y" & z']
    assert drawn.arrows["a<b", "c"][1] == ["p < q"]


def test_what_happened_is_drawn_in_three_styles() -> None:
    """Declared and seen with how often and how fast, declared and never seen, seen and not declared."""
    ways = {("start", "step reserve"): Gone(5, 8_200), ("step ship", "step pay"): Gone(1, 3_400_000)}
    stations = {"start": 5, "step reserve": 5, "step ship": 1, "step pay": 1, "compensated": 1}
    found = Discovered(5, stations, ways, {("start", "shop.OrderOverdue"): Gone(2, 90_000_000)})
    graph = graph_of_runs(SPEC, found)
    drawn = Drawn(as_svg(graph))
    assert drawn.title == f"saga {SPEC.name}, version {SPEC.version}: what 5 sagas went through"
    assert drawn.arrows["start", "step reserve"] == ("arrow forward seen", ["5 times, 8.2 ms"])
    assert drawn.boxes["step reserve"][1][-1] == "5 times"
    assert drawn.arrows["start", "step pay"][0] == "arrow forward never"
    assert drawn.boxes["undo ship"] == ("box undo never", [*drawn.boxes["undo ship"][1][:-1], "never"])
    assert drawn.arrows["step ship", "step pay"] == ("arrow forward undeclared", ["once, 3.4 s"])
    assert drawn.boxes["event shop.OrderOverdue"] == ("box event undeclared", ["OrderOverdue", "2 times"])
    assert drawn.boxes["compensated"][0] == "box end seen"
    told = as_flowchart(graph)
    for style in ("classDef seen", "classDef never", "classDef undeclared", "linkStyle"):
        assert style in told
    assert "classDef" not in as_flowchart(graph_of_spec(SPEC))
    assert " seen" not in as_svg(graph_of_spec(SPEC))
