"""Runs bundles in optimum; runs in an environment that has optimum and transformers 4, and nothing of this project.

python optimum_oracle.py JOB ANSWERS: JOB is {"path", "bundles": [{"folder", "class", "texts", "padding", "choices", "pipeline", "ask"}, ...]};
`path` are folders to import torch (and what a card asks for) from, after the environment's own. ANSWERS gets, per bundle, the
ids and outputs of the class, what the pipeline answers (or null), and config.json as AutoConfig reads it.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
sys.path.extend(job["path"])

import optimum.onnxruntime  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()
answers = []
for bundle in job["bundles"]:
    folder = bundle["folder"]
    config = transformers.AutoConfig.from_pretrained(folder)
    answer = {"config": config.to_dict(), "class": type(config).__name__, "inputs": None, "outputs": None, "pipeline": None}
    if bundle["class"] is not None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = getattr(optimum.onnxruntime, bundle["class"]).from_pretrained(folder)
        inputs = tokenizer(*bundle["texts"], truncation=True, return_tensors="pt", **bundle["padding"])
        if bundle["choices"]:
            inputs = {name: values[None] for name, values in inputs.items()}
        outputs = model(**inputs)
        answer["inputs"] = {name: values.tolist() for name, values in inputs.items()}
        answer["outputs"] = {name: values.tolist() for name, values in outputs.items()}
        if bundle["pipeline"] is not None:
            pipe = transformers.pipeline(bundle["pipeline"], model=model, tokenizer=tokenizer)
            given = bundle["ask"]
            answer["pipeline"] = pipe(*given["positional"], **given["named"])
    if bundle["card"] is not None:
        printed = io.StringIO()
        os.chdir(folder)
        with contextlib.redirect_stdout(printed):
            exec(bundle["card"], {"__name__": "__main__"})
        answer["card"] = printed.getvalue()
    answers.append(answer)
Path(sys.argv[2]).write_text(json.dumps(answers, default=float), "utf-8")
