import pytest
import torch

from fnet_core.checkpoint.names import AS_IT_IS, FIRST, HEADS_BIAS, HEADS_IN, HEADS_OUT, TRANSPOSED

IN, HEADS, SIZE, OUT = 5, 3, 2, 4


@pytest.mark.parametrize(
    ("change", "shape"),
    [(AS_IT_IS, (5, 4)), (TRANSPOSED, (5, 4)), (FIRST, (1, 5, 4)), (HEADS_OUT, (IN, HEADS, SIZE)), (HEADS_BIAS, (HEADS, SIZE)),
     (HEADS_IN, (HEADS, SIZE, OUT))],
)  # fmt: skip
def test_there_and_back(change, shape):
    stored = torch.randn(shape)
    assert torch.equal(change.undo(change.apply(stored), HEADS), stored)


def test_projections_of_heads_are_linear_layers():
    x, kernel = torch.randn(7, IN), torch.randn(IN, HEADS, SIZE)
    there = torch.nn.functional.linear(x, HEADS_OUT.apply(kernel))
    assert torch.allclose(there, torch.einsum("ni,ihs->nhs", x, kernel).flatten(1), atol=1e-5)
    kernel = torch.randn(HEADS, SIZE, OUT)
    back = torch.nn.functional.linear(there, HEADS_IN.apply(kernel))
    assert torch.allclose(back, torch.einsum("nhs,hso->no", there.reshape(7, HEADS, SIZE), kernel), atol=1e-5)
