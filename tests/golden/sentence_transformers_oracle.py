"""Saves and runs models of sentence-transformers; runs in an environment that has it alone, and nothing of this project.

python sentence_transformers_oracle.py JOB ANSWERS: JOB is {"path", "transformer", "texts", "models": [{"folder", "pooling",
"normalize", "max_seq_length"}, ...]}; `path` are folders to import torch and transformers from. Each model is saved in its folder.
ANSWERS gets, per model, the vector of each text alone.
"""

import json
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
sys.path.extend(job["path"])

from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.base.modules import Normalize, Transformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: E402

answers = []
for model in job["models"]:
    transformer = Transformer(job["transformer"])
    transformer.max_seq_length = model["max_seq_length"]
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=model["pooling"])]
    sentences = SentenceTransformer(modules=modules + [Normalize()] * model["normalize"], device="cpu")
    answers.append([sentences.encode(text).tolist() for text in job["texts"]])
    sentences.save(model["folder"])
Path(sys.argv[2]).write_text(json.dumps(answers), "utf-8")
