"""The graphs of every task by the transforms that are not the default."""

import pytest
from support.small_models import check_graphs

from fnet_core.tasks import TASKS


@pytest.mark.parametrize("transform", ["dft", "factored"])
@pytest.mark.parametrize("name", TASKS)
def test_traced_and_optimized_graphs_agree_with_float64_fft(name, transform):
    check_graphs(name, transform)
