"""The whole way on this card: export the built-in model, check it, answer a text, and build its engine again."""

import os

from on_gpu.engines import answer

TEXT = "Dear customer, you have won a prize. Reply with your bank details to claim it."
TASK = "sequence-classification"


def bundle_answers(target, provider, scratch):
    """Export the built-in model for a target and use the bundle; give an answer for each thing that a user does.

    `provider` runs the graph of the target `onnx`; another target has an engine, and is in fp16.
    """
    import fnet_runtime
    from fnet_runtime.engine.rebuild import CACHE_VARIABLE

    import fnet_export

    os.environ[CACHE_VARIABLE] = str(scratch / "rebuilt")
    about, folder = {"library": f"bundle, {target}"}, scratch / f"bundle-{target}"
    options = {"provider": provider} if target == "onnx" else {}
    precision = "fp32" if target == "onnx" else "fp16"

    def exported():
        done = fnet_export.export(target=target, task=TASK, precision=precision, quick=True, output=folder, **options)
        rows = done.evidence.parity.rows
        return "; ".join(f"{row.name} {row.status}" + (f" ({row.reason})" if row.reason else "") for row in rows)

    def answered(**chosen):
        return str(fnet_runtime.load(folder, **chosen).classify(TEXT))

    def rebuilt():
        done = fnet_export.rebuild(folder)
        return f"{'built' if done.built else 'from the cache'}, by {done.info.library} {done.info.version} for {done.gpu.name}"

    yield about | answer("does an export pass its checks here", exported)
    yield about | answer("does the runtime answer a text with it", lambda: answered(**options))
    if target != "onnx":
        yield about | answer("is the engine built again for this GPU", rebuilt)
        yield about | answer("does the runtime answer a text with the rebuilt engine", lambda: answered(rebuild=True))
