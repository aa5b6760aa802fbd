"""Half precision with fewer operators in float32 than in the product, for comparison."""

from unittest import mock

from fnet_export.precision import half


def half_from_graph_except(graph, precision, operators):
    """Rewrite a float32 graph as half_from_graph does; only these operators stay in float32, and what is computed from shapes.

    LayerNormalization in half precision has statistics in float32, because its attribute stash_type is 1.
    """
    with mock.patch.object(half, "FLOAT32_OPERATORS", frozenset(operators)):
        return half.half_from_graph(graph, precision)
