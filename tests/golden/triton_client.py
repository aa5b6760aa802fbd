"""Asks a Triton server, in an environment with tritonclient: requests as JSON on standard input, results as JSON on standard output.

The input is {"http": ADDRESS, "grpc": ADDRESS, "clients": N, "requests": [REQUEST, ...]}. A request is {"protocol", "model",
"inputs": {name: [type, values]}, "outputs": [name, ...], "classes": {name: count}}, or {"call": NAME, "arguments": [...]} for a method
of the HTTP client. N threads, each with a client of its own, share the requests. Each result is the outputs by name, or {"error"}.
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tritonclient.grpc
import tritonclient.http

MODULES = {"http": tritonclient.http, "grpc": tritonclient.grpc}
TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64}
LOCAL = threading.local()
TIMEOUT_S = 3600


def array(kind, values):
    if kind == "RAW":  # bytes that are not UTF-8, in hexadecimal
        return "BYTES", np.vectorize(bytes.fromhex, otypes=[np.object_])(np.array(values, np.object_))
    if kind == "BYTES":
        values = np.vectorize(lambda value: value.encode("utf-8"), otypes=[np.object_])(np.array(values, np.object_))
    return kind, np.array(values, TYPES[kind])


def client(job, protocol):
    clients = LOCAL.__dict__.setdefault("clients", {})
    if protocol not in clients:
        options = {"network_timeout": TIMEOUT_S} if protocol == "http" else {}
        clients[protocol] = MODULES[protocol].InferenceServerClient(job[protocol], **options)
    return clients[protocol]


def asked(job, request):
    try:
        if "call" in request:
            return getattr(client(job, "http"), request["call"])(*request.get("arguments", []))
        module = MODULES[request["protocol"]]
        inputs = []
        for name, (kind, values) in request["inputs"].items():
            datatype, data = array(kind, values)
            inputs.append(module.InferInput(name, data.shape, datatype))
            inputs[-1].set_data_from_numpy(data)
        classes = request.get("classes", {})
        outputs = [module.InferRequestedOutput(name, class_count=classes.get(name, 0)) for name in request["outputs"]]
        result = client(job, request["protocol"]).infer(
            request["model"], inputs, model_version=request.get("version", ""), outputs=outputs
        )
        return {name: plain(result.as_numpy(name)) for name in request["outputs"]}
    except Exception as error:
        return {"error": str(error)}


def plain(values):
    if values.dtype == np.object_:
        return np.vectorize(lambda value: value.decode("utf-8"), otypes=[np.object_])(values).tolist()
    return values.tolist()


def main():
    job = json.load(sys.stdin)
    with ThreadPoolExecutor(job.get("clients", 1)) as pool:
        results = list(pool.map(lambda request: asked(job, request), job["requests"]))
    json.dump(results, sys.stdout)


main()
