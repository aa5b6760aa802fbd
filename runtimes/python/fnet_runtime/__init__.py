"""Open an fnet-export bundle and answer texts with labels, spans, fillers or embeddings.

import fnet_runtime
fnet_runtime.load("bundle").classify("some text")
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads this when it is imported; else it would send usage data

from fnet_runtime.errors import (
    BuildError,
    BundleError,
    ClusterError,
    FNetRuntimeError,
    InputError,
    LibraryError,
    NoDeviceError,
    OptionError,
    SessionError,
)
from fnet_runtime.pipeline.answers import (
    Answer,
    AnyAnswer,
    Choice,
    Classification,
    Embedding,
    Entities,
    Entity,
    Filler,
    Fillers,
    LabelScore,
    NextSentence,
    Pretraining,
    TokenLabel,
    TokenLabels,
)
from fnet_runtime.pipeline.model import Question
from fnet_runtime.pipeline.open import load
from fnet_runtime.pipeline.options import AnswerOptions
from fnet_runtime.pipeline.pipeline import Pipeline
from fnet_runtime.pipeline.self_test import Check
from fnet_runtime.pipeline.words import text_from_words

__all__ = [
    "Answer",
    "AnswerOptions",
    "AnyAnswer",
    "BuildError",
    "BundleError",
    "Check",
    "Choice",
    "Classification",
    "ClusterError",
    "Embedding",
    "Entities",
    "Entity",
    "FNetRuntimeError",
    "Filler",
    "Fillers",
    "InputError",
    "LabelScore",
    "LibraryError",
    "NextSentence",
    "NoDeviceError",
    "OptionError",
    "Pipeline",
    "Pretraining",
    "Question",
    "SessionError",
    "TokenLabel",
    "TokenLabels",
    "load",
    "text_from_words",
]
