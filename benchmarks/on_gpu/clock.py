"""Time on a device: synchronised clocks, warmed up, medians; and the peaks that times are measured against."""

import statistics
import time

import torch

from on_gpu.step import reason_of

WARM_UPS = 3
MOST = 50
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")


def set_tf32(on):
    """Let float32 products of torch round their factors to TF32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def synchronised(scale):
    """Return the function that waits until the device has finished."""
    return torch.cuda.synchronize if scale.on_gpu else lambda: None


def timed_ms(run, scale):
    """Return the median, the least and the number of the runs; `run` gives the device something to do."""
    wait = synchronised(scale)
    for _ in range(WARM_UPS):
        run()
    wait()
    times = []
    end = time.perf_counter() + scale.case_s
    while len(times) < scale.fewest or (time.perf_counter() < end and len(times) < MOST):
        start = time.perf_counter()
        run()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": statistics.median(times), "least_ms": min(times), "runs": len(times)}


def peaks(scale):
    """Measure a large matrix product per precision in TFLOP/s, and a copy in GB/s (bytes read and written), one after the other."""
    n = scale.side
    for precision in PRECISIONS:
        set_tf32(precision == "tf32")
        product = {"peak": precision, "unit": "TFLOP/s"}
        try:
            multiply = _product(precision, n, scale.device)
            time_of = timed_ms(multiply, scale)
        except Exception as error:
            yield product | {"reason": reason_of(error)}
            continue
        yield product | {"rate": 2 * n**3 / (1e9 * time_of["median_ms"])} | time_of
    set_tf32(False)
    source = torch.zeros(scale.copied_bytes, dtype=torch.uint8, device=scale.device)
    target = torch.empty_like(source)
    time_of = timed_ms(lambda: target.copy_(source), scale)
    yield {"peak": "copy", "unit": "GB/s", "rate": 2 * scale.copied_bytes / (1e6 * time_of["median_ms"])} | time_of


def _product(precision, n, device):
    """Return what multiplies two square matrices of random numbers."""
    if precision == "int8":
        left, right = (torch.randint(-127, 128, (n, n), dtype=torch.int8, device=device) for _ in range(2))
        return lambda: torch._int_mm(left, right.t())
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
    left, right = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    if precision == "fp8":
        left, right, one = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn), torch.ones((), device=device)
        return lambda: torch._scaled_mm(left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.float16, use_fast_accum=True)
    return lambda: left @ right
