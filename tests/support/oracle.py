"""Models of transformers, of random weights that it saved, and how far ours are from them."""

import torch
import transformers


def saved_oracle(task, sequence_length, folder, **sizes):
    config = transformers.FNetConfig(max_position_embeddings=sequence_length, num_labels=2, **sizes)
    torch.manual_seed(1)
    oracle = getattr(transformers, task.huggingface_class)(config).eval()
    for parameter in oracle.parameters():
        torch.nn.init.normal_(parameter, std=0.3 if sequence_length < 100 else 0.02)
    oracle.save_pretrained(folder)
    return oracle


def inputs_of(task, sequence_length, vocab_size):
    shape = {"batch_size": 2, "num_choices": 3, "sequence_length": sequence_length}
    axes = [shape[axis] for axis in task.input_axes]
    generator = torch.Generator().manual_seed(2)
    return torch.randint(vocab_size, axes, generator=generator), torch.randint(2, axes, generator=generator)


def worst_relative_error(model, oracle, inputs):
    with torch.no_grad():
        ours = model(*inputs)
        theirs = oracle(input_ids=inputs[0], token_type_ids=inputs[1])
    return max(
        ((o - theirs[name]).abs().max() / theirs[name].abs().max()).item() for o, name in zip(ours, model.task.outputs, strict=True)
    )
