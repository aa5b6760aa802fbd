"""Answers of transformers' question-answering pipeline; runs in an environment that has transformers 4, and nothing of this project.

python question_answering_oracle.py JOB ANSWERS: JOB is {"path", "models": [{"folder", "length", "asked": [{"question", "context",
"windows", "options"}, ...]}, ...]}. `path` is a folder to import torch from, after the environment's own. ANSWERS gets, per model and
question, a list of answers for each of `options`.
"""

import json
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
sys.path.append(job["path"])

import transformers  # noqa: E402

transformers.logging.set_verbosity_error()
answers = []
for wanted in job["models"]:
    folder = Path(wanted["folder"])
    pipe = transformers.pipeline(
        "question-answering",
        model=transformers.FNetForQuestionAnswering.from_pretrained(folder),
        tokenizer=transformers.FNetTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=wanted["length"]),
    )
    found = []
    for asked in wanted["asked"]:
        example = pipe.create_sample(asked["question"], asked["context"])
        outputs = [pipe.forward(row) for row in pipe.preprocess(example, **asked["windows"])]
        each = [pipe.postprocess(outputs, **options) for options in asked["options"]]
        found.append([answer if isinstance(answer, list) else [answer] for answer in each])
    answers.append(found)
Path(sys.argv[2]).write_text(json.dumps(answers), "utf-8")
