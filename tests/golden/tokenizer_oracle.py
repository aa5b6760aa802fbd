"""Answers of transformers' own FNet tokenizers; runs in an environment that has transformers and nothing of this project.

python tokenizer_oracle.py JOB ANSWERS: JOB is {"cases": [[texts, length], ...], "tokenizers": [{"class", "folder", "every", "options"}, ...]};
ANSWERS gets, per tokenizer, a list per case of [ids, types, special tokens mask, offsets or null, decoded text], or null for one left out.
"""

import json
import sys
from pathlib import Path

import transformers

transformers.logging.set_verbosity_error()
job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
answers = []
for wanted in job["tokenizers"]:
    tokenizer = getattr(transformers, wanted["class"]).from_pretrained(wanted["folder"], **wanted["options"])
    if wanted["save"]:
        tokenizer.backend_tokenizer.save(wanted["save"])
    found = []
    for i, (texts, length) in enumerate(job["cases"]):
        if i % wanted["every"]:
            found.append(None)
            continue
        encoded = tokenizer(  # as a batch: called with one pair, the fast one takes an empty second text for none
            *([text] for text in texts), truncation="longest_first", padding="max_length", max_length=length,
            return_token_type_ids=True, return_special_tokens_mask=True, return_offsets_mapping=tokenizer.is_fast,
        )  # fmt: skip
        offsets = encoded["offset_mapping"][0] if tokenizer.is_fast else None
        ids, types, special = (encoded[key][0] for key in ("input_ids", "token_type_ids", "special_tokens_mask"))
        found.append([ids, types, special, offsets, tokenizer.decode(ids, skip_special_tokens=True)])
    answers.append(found)
Path(sys.argv[2]).write_text(json.dumps(answers), "utf-8")
