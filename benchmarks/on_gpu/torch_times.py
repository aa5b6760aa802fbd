"""Times of the base model in torch, eager and compiled: FNet as transformers computes it (torch.fft), and BERT."""

import time

import torch

from on_gpu.clock import set_tf32, timed_ms
from on_gpu.models import bert, random_ids, transformers_fnet
from on_gpu.operations import flops_of_bert, flops_of_fft, measured
from on_gpu.scale import FEW_BATCHES
from on_gpu.step import reason_of

IN_TORCH = ("fp16", "tf32", "fp32")
COMPILED = ("FNet",)
"""No goal asks for a compiled BERT, and compiling takes long."""


def eager_times(scale, length):
    """Time both models, eager."""
    for run_as in IN_TORCH:
        for kind in ("FNet", "BERT"):
            yield from _times(scale, kind, length, run_as, scale.batches, compiled=False)


def compiled_times(scale, length, all_run_as):
    """Time FNet under torch.compile with CUDA graphs, for the first batches only: each batch is compiled."""
    for run_as in all_run_as:
        for kind in COMPILED:
            yield from _times(scale, kind, length, run_as, scale.batches[:FEW_BATCHES], compiled=True)


def mixed_in_float32(model):
    """Let an FNet of transformers in half precision mix in float32: cuFFT takes half precision for powers of two only."""
    from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform

    def mixed(hidden):
        return (torch.fft.fftn(hidden.float(), dim=(1, 2)).real.to(hidden.dtype),)

    for module in model.modules():
        if isinstance(module, FNetBasicFourierTransform):
            module.forward = mixed
    return model


def _times(scale, kind, length, run_as, batches, *, compiled):
    set_tf32(run_as == "tf32")
    subject = {
        "subject": f"{kind}, {'torch.compile' if compiled else 'torch eager'}",
        "transform": "fft" if kind == "FNet" else None,
        "precision": run_as,
        "tokens": length,
    }
    try:
        model = (transformers_fnet if kind == "FNet" else bert)(scale.base, length)
        model = model.to(scale.device, torch.float16 if run_as == "fp16" else torch.float32)
        if kind == "FNet" and run_as == "fp16":
            model = mixed_in_float32(model)
        if compiled:
            torch.compiler.reset()  # else what was compiled before counts against the limit of recompilations
            options = {"mode": "reduce-overhead"} if scale.compile_backend == "inductor" else {}
            model = torch.compile(model, backend=scale.compile_backend, dynamic=False, **options)
        flops = flops_of_fft(scale, length) if kind == "FNet" else flops_of_bert(scale, length)
        for batch in batches:
            ids = {name: torch.from_numpy(array).to(scale.device) for name, array in random_ids(scale, length, batch).items()}
            with torch.inference_mode():
                start = time.perf_counter()
                model(**ids)
                first_s = time.perf_counter() - start
                found = timed_ms(lambda ids=ids: model(**ids), scale)
            yield measured(subject, batch, found, flops) | ({"first_run_s": round(first_s, 1)} if compiled else {})
    except Exception as error:
        yield subject | {"reason": reason_of(error)}
    finally:
        set_tf32(False)
        torch.cuda.empty_cache()
