"""The models that are measured, of random weights: FNet, BERT, and what is fed to both."""

import numpy as np
import torch
from fnet_runtime.tokenizer.encoding import MAX_LENGTH, Padding

from fnet_core.config import FNetConfig
from fnet_core.fnet import FNet
from fnet_core.tasks import CHOICES, TASKS
from fnet_export.graph.tensors import tensors_from_task

CLASSIFIER = "sequence-classification"
STD = 0.05
NUM_CHOICES = 3


def config_of(config_fields, length):
    """Return the configuration of a model of some length."""
    return FNetConfig(**{**config_fields, "max_position_embeddings": length})


def fnet(config_fields, length, task=CLASSIFIER):
    """Make a trained-like FNet in natural order, float32, with random weights."""
    config = config_of(config_fields, length)
    torch.manual_seed(0)
    model = FNet(config, TASKS[task], sequence_length=length).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" not in name:
                torch.nn.init.normal_(value, std=STD)
    return model


class Logits(torch.nn.Module):
    """A model of transformers, from ids and types to logits alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, token_type_ids):
        return self.model(input_ids=input_ids, token_type_ids=token_type_ids).logits


def bert(config_fields, length):
    """Make a BERT classifier of the same sizes, as a module from ids and types to logits."""
    import transformers

    config = transformers.BertConfig(**_sizes(config_fields, length), num_attention_heads=12)
    torch.manual_seed(0)
    return Logits(transformers.BertForSequenceClassification(config)).eval()


def transformers_fnet(config_fields, length):
    """Make the FNet classifier of transformers, which mixes by torch.fft, as such a module."""
    import transformers

    config = transformers.FNetConfig(**_sizes(config_fields, length))
    torch.manual_seed(0)
    return Logits(transformers.FNetForSequenceClassification(config)).eval()


def _sizes(config_fields, length):
    sizes = config_of(config_fields, length)
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings")
    return {name: getattr(sizes, name) for name in names}


def random_inputs(task, config, length, rows, *, seed=1):
    """Draw `int64[row, (choice,) token]` ids and types; the last third of every second row is padding."""
    draw = np.random.default_rng(seed)
    shape = (rows, NUM_CHOICES, length) if CHOICES in task.input_axes else (rows, length)
    ids, types = draw.integers(4, config.vocab_size, shape), draw.integers(0, 2, shape)
    ids[1::2, ..., -(length // 3) :], types[1::2, ..., -(length // 3) :] = config.pad_token_id, 0
    return {"input_ids": ids, "token_type_ids": types}


def random_ids(scale, length, batch):
    """Draw the inputs of a batch of texts for the model that is timed."""
    return random_inputs(TASKS[CLASSIFIER], config_of(scale.base, length), length, batch)


def base_inputs(scale, length, contract=MAX_LENGTH):
    """Describe the inputs of the model that is timed, as a manifest does."""
    return tensors_from_task(TASKS[CLASSIFIER], config_of(scale.base, length), Padding(length, contract=contract))[0]
