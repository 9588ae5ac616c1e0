"""Expressions as trees: what stands where."""

import pytest

from choreo.saga.cel_tree import Node, tree_of


def drawn(node: Node) -> str:
    """A node as `sort name(parts)`, short enough to compare."""
    parts = ", ".join(map(drawn, node.parts))
    return f"{node.name}({parts})" if node.parts or node.sort in ("call", "method", "list", "table") else node.name


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1 + 2 * 3 - 4", "-(+(1, *(2, 3)), 4)"),
        ("a || b && c == d", "||(a, &&(b, ==(c, d)))"),
        ("(a || b) && c", "&&(||(a, b), c)"),
        ("a ? b : c ? d : e", "?:(a, b, ?:(c, d, e))"),
        ("!a.b && -c[0].d < 1.5e3", "&&(!(b(a)), <(-(d([](c, 0))), 1.5e3))"),
        ("a.all(x, x.b in [1, 2,])", "all(a, x, in(b(x), [](1, 2)))"),
        ("size(a) == 0x1Fu", "==(size(a), 0x1Fu)"),
        ("{'a': 1, b: {}}.a", "a({}('a', 1, b, {}()))"),
        ("a.b // c.d\n.e", "e(b(a))"),
        ('\'it\\\'s\' + """a \'b\'""" + b\'c\' + r"d"', '+(+(+(\'it\\\'s\', """a \'b\'"""), b\'c\'), r"d")'),
        ("a == null", "==(a, null)"),
    ],
)
def test_a_tree_has_the_order_in_which_cel_works(text: str, tree: str) -> None:
    """What binds stronger stands deeper, from left to right; strings and comments are what CEL takes them for."""
    found = tree_of(text)
    assert found is not None
    assert drawn(found) == tree


def test_a_node_says_where_it_stands() -> None:
    """From its first character up to the one behind its last, brackets included."""
    text = "1 < (saga . lines[0]).sku"
    tree = tree_of(text)
    assert tree is not None
    assert [text[one.start : one.end] for one in tree.walk()] == [
        text,
        "1",
        "(saga . lines[0]).sku",
        "(saga . lines[0])",
        "saga . lines",
        "saga",
        "0",
    ]


@pytest.mark.parametrize("text", ["", "a +", "a b", "a.(b)", "[1", "{'a'}", "a.`b-c`", "a ? b", "'a", "(" * 5000])
def test_what_is_not_known_has_no_tree(text: str) -> None:
    """It is left to CEL, which says what is wrong, or works it out."""
    assert tree_of(text) is None
