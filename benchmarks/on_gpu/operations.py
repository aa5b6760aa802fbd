"""How many operations a text takes: two for a multiply-add."""

import contextlib
import math
from pathlib import Path

from on_gpu.models import config_of


def measured(subject, batch, timed, flops):
    """Return the result of a timed case, with its rate if the operations of a text are known."""
    rate = flops * batch / (1e9 * timed["median_ms"]) if flops else None
    return subject | {"batch": batch, **timed, "tflop_per_s": rate, "gflop_per_text": flops / 1e9 if flops else None}


def flops_of_case(scale, path, subject):
    """Count the operations of a text: of BERT and of Fourier transforms by formula, of other graphs by their products."""
    if subject["subject"].startswith("BERT"):
        return flops_of_bert(scale, subject["tokens"])
    return flops_of_fft(scale, subject["tokens"]) if subject["transform"] == "fft" else flops_of_graph(path, subject["tokens"])


def flops_of_graph(path, length):
    """Count the operations of the products of a graph for one text of so many tokens."""
    from fnet_export.precision.proof import products_from_file

    with contextlib.suppress(Exception):
        return 2 * sum(product.multiply_adds for product in products_from_file(Path(path), length)) or None
    return None


def flops_of_fft(scale, length):
    """Count an FNet's operations with fast Fourier transforms: 5 n log2(n) for each complex one of n numbers (Cooley, Tukey)."""
    sizes = config_of(scale.base, length)
    hidden, layers = sizes.hidden_size, sizes.num_hidden_layers
    linear = 2 * length * (hidden * hidden + layers * 2 * hidden * sizes.intermediate_size)
    return linear + layers * 5 * length * hidden * (math.log2(hidden) + math.log2(length))


def flops_of_bert(scale, length):
    """Count a BERT's operations: projections, attention over all pairs of tokens, feed-forward."""
    sizes = config_of(scale.base, length)
    hidden = sizes.hidden_size
    per_token = 2 * (4 * hidden * hidden + 2 * length * hidden + 2 * hidden * sizes.intermediate_size)
    return sizes.num_hidden_layers * length * per_token
