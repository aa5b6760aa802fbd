"""The model as transformers runs it, where that is installed: an oracle that shares no code with ours."""

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from fnet_runtime.errors import SessionError
from fnet_runtime.sessions.session import ANY_BATCH, Ids, Outputs

from fnet_core.checkpoint.huggingface import module_names
from fnet_core.config import FOURIER
from fnet_core.fnet import FNet
from fnet_core.tasks import INPUT_NAMES

UNREAD, UNREAD_WITHOUT_POOLING = ("predictions.bias",), ("pooler.dense.weight", "pooler.dense.bias")
"""Parameters of transformers that no output depends on: the decoder has its own bias, or shares this bias."""


class TransformersSession:
    """Run a transformers model with the weights of an FNet of this project, in float32."""

    batch = ANY_BATCH

    def __init__(self, model: FNet) -> None:
        """Give transformers' class for the task our weights. Raises SessionError where it has no such model or other weights."""
        config, task = model.config, model.task
        if set(config.mixings) != {FOURIER}:
            raise SessionError(f"transformers has no FNet of the {config.mixing} mixing or with attention")
        try:
            transformers: Any = importlib.import_module("transformers")
        except ImportError as error:
            raise SessionError(f"transformers is not installed ({error}); pip install 'transformers>=5.0'") from error
        # with TPU optimizations it would take texts of one length only; the outputs are the same without
        values = config.to_dict() | {"use_tpu_fourier_optimizations": False}
        known = transformers.FNetConfig(**values)
        if task.name == "question-answering":
            known.num_labels = 2
        theirs = getattr(transformers, task.huggingface_class)(known).eval()
        modules, parameters = dict(theirs.named_modules()), dict(model.named_parameters(remove_duplicate=False))
        filled: set[int] = set()
        with torch.no_grad():
            for key, name in module_names(config, task).items():
                module = _module(modules, key)
                for kind, value in module.named_parameters(recurse=False) if module is not None else ():
                    value.copy_(parameters[f"{name}.{kind}"])
                    filled.add(id(value))
        unread = UNREAD if task.pooled else (*UNREAD, *UNREAD_WITHOUT_POOLING)
        unfilled = [name for name, value in theirs.named_parameters() if id(value) not in filled and not name.endswith(unread)]
        if unfilled:
            raise SessionError(f"transformers {transformers.__version__} has weights that ours do not fill: {', '.join(unfilled)}")
        self._task, self._model = task, theirs

    def run(self, inputs: Mapping[str, Ids]) -> Outputs:
        """Run the model; see `Session.run`."""
        with torch.inference_mode():
            outputs = self._model(**{name: torch.from_numpy(inputs[name]) for name in INPUT_NAMES})
        return {name: outputs[name].numpy() for name in self._task.outputs}


def _module(modules: Mapping[str, Any], key: str) -> Any:
    """Find a module by the checkpoint's name of it, with transformers' prefix of a model with a head or without."""
    return modules.get(key, modules.get(f"fnet.{key}"))
