import sys

import pytest
import torch
from fnet_runtime.errors import SessionError
from support.checkpoints import tiny_config

from fnet_core.fnet import FNet
from fnet_core.tasks import TASKS
from fnet_export.engine.sessions.transformers_session import TransformersSession


def test_a_mixing_that_transformers_has_not():
    model = FNet(tiny_config(mixing="linear"), TASKS["sequence-classification"])
    with pytest.raises(SessionError, match="transformers has no FNet of the linear mixing or with attention"):
        TransformersSession(model)


def test_transformers_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SessionError, match="transformers is not installed"):
        TransformersSession(FNet(tiny_config(), TASKS["sequence-classification"]))


def test_weights_that_ours_do_not_fill(monkeypatch):
    monkeypatch.setattr("fnet_export.engine.sessions.transformers_session.module_names", lambda config, task: {})
    with pytest.raises(SessionError, match=r"has weights that ours do not fill: .*classifier\.bias"):
        TransformersSession(FNet(tiny_config(), TASKS["sequence-classification"]))


def test_untied_decoders_are_filled():
    torch.manual_seed(0)
    TransformersSession(FNet(tiny_config(tie_word_embeddings=False), TASKS["masked-lm"]))
