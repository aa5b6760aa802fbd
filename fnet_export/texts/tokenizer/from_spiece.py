"""tokenizer.json from a spiece.model: the pipelines that transformers' own FNet tokenizers would build of it.

docs/tokenizer.md states both; tests/golden holds them against transformers 4.57 and 5.23.
"""

from typing import Any

from fnet_runtime.errors import BundleError
from fnet_runtime.tokenizer.encoding import MASK, SPECIAL_TOKENS
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.normalizers import Normalizer

UNIGRAM, BPE = 1, 2
"""TrainerSpec.ModelType."""
CONTROL, USER_DEFINED = 3, 4
"""SentencePiece.Type."""
DIGIT_COMMA_PENALTY = 100.0

ModelProto = Any
"""sentencepiece_model_pb2 makes the class when it is imported: no type checker knows it."""
Scores = list[tuple[str, float]]


def proto_from_bytes(model: bytes, *, name: str) -> ModelProto:
    """Parse a spiece.model; `name` is what errors call it.

    Raises BundleError for another file, and for a model that is neither BPE nor Unigram.
    """
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        proto.ParseFromString(model)
    except DecodeError as error:
        raise BundleError(f"{name}: not a SentencePiece model ({error}); expected the checkpoint's spiece.model") from error
    if proto.trainer_spec.model_type not in (UNIGRAM, BPE):
        raise BundleError(f"{name}: expected a BPE or Unigram model, found model type {proto.trainer_spec.model_type}")
    return proto


def fast_from_spiece(proto: ModelProto, *, do_lower_case: bool, keep_accents: bool) -> Tokenizer:
    """Build what transformers 4.57's FNetTokenizerFast makes of a spiece.model (its AlbertConverter)."""
    scores = [(p.piece, p.score - DIGIT_COMMA_PENALTY * _ends_in_digit_comma(p.piece)) for p in proto.pieces]
    if proto.trainer_spec.model_type == UNIGRAM:
        tokenizer = Tokenizer(models.Unigram(scores, unk_id=proto.trainer_spec.unk_id, byte_fallback=False))
    else:
        vocabulary = {piece: i for i, (piece, _) in enumerate(scores)}
        merges = _merges(vocabulary, scores)
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=proto.trainer_spec.unk_piece, fuse_unk=True))
    tokenizer.add_tokens(_added_tokens(proto, mask_lstrip=True))
    steps: list[Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [] if keep_accents else [normalizers.NFKD(), normalizers.StripAccents()]
    steps += [normalizers.Lowercase()] if do_lower_case else []
    steps += _precompiled(proto)
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def v5_from_spiece(proto: ModelProto) -> Tokenizer:
    """Build what transformers 5.23's FNetTokenizer makes of a bare spiece.model: a Unigram model, whatever was trained."""
    scores = [(p.piece, p.score) for p in proto.pieces]
    byte_fallback = proto.trainer_spec.byte_fallback
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=proto.trainer_spec.unk_id, byte_fallback=byte_fallback))
    tokenizer.normalizer = normalizers.Sequence([*_precompiled(proto), normalizers.Replace(" ", "▁")])
    bytes_joined = [decoders.ByteFallback(), decoders.Fuse()] if byte_fallback else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), *bytes_joined])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    tokenizer.add_tokens(_added_tokens(proto, mask_lstrip=False))
    return Tokenizer.from_str(tokenizer.to_str())  # as transformers copies it: a score's last bit can change


def _ends_in_digit_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def _precompiled(proto: ModelProto) -> list[Normalizer]:
    charsmap = proto.normalizer_spec.precompiled_charsmap
    return [normalizers.Precompiled(charsmap)] if charsmap else []


def _added_tokens(proto: ModelProto, *, mask_lstrip: bool) -> list[AddedToken]:
    """FNet's special tokens and the model's control and user-defined symbols; `mask_lstrip`: [MASK] takes the space before it."""
    return [
        AddedToken(
            p.piece,
            lstrip=mask_lstrip and p.piece == MASK,
            normalized=False,
            special=p.piece in SPECIAL_TOKENS or p.type == CONTROL,
        )
        for p in proto.pieces
        if p.piece in SPECIAL_TOKENS or p.type in (CONTROL, USER_DEFINED)
    ]


def _merges(vocabulary: dict[str, int], scores: Scores) -> list[tuple[str, str]]:
    """Every split of a piece into two others, best piece first; of equals, the longest left part, then the order of pieces."""
    scored_pairs = []
    for piece, score in scores:
        splits = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        known = [(left, right) for left, right in splits if left in vocabulary and right in vocabulary]
        scored_pairs += [(score, pair) for pair in sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))]
    scored_pairs.sort(key=lambda item: (item[0], len(item[1][0]), len(item[1][1])), reverse=True)
    return [pair for _, pair in scored_pairs]
