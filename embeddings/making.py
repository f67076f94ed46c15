"""Engines made from sentence-transformers' models: traced, compiled, and verified against the model itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.compiled import (
    BLOB,
    TOKENIZER,
    WEIGHTS,
    Card,
    Compiled,
    DamagedEngineError,
    import_openvino,
    properties,
)
from embeddings.reference import Reference

COSINE = 0.9995
"""The least that an engine's vector must have with sentence-transformers' own, for each of SENTENCES. bf16 gives .9999
(docs/design.md, "Encoder"); a wrong token or a missing prompt gives less than .99."""

SENTENCES = (
    "",
    " ",
    "?",
    "42",
    "When does the ferry leave?",
    "  White space\tand\nline breaks   around the words \n",
    "The Bundesbank raised interest rates twice in 1992, by 0.75 percentage points in all.",
    "Wann fährt die letzte Fähre nach Föhr, und was kostet sie für Schüler?",
    "El puente se abre a las siete de la mañana; ¿quién tiene la llave?",
    "Где находится северный пирс и когда отходит паром?",
    "渡し船は正午に北の桟橋を出発します。",
    "تغادر العبّارة الرصيف الشمالي عند الظهر.",
    "정오에 북쪽 부두에서 배가 출발합니다.",
    "Ο πορθμός ανοίγει στις επτά το πρωί.",
    "Thanks 🙏🏽 — see you at the pier 🚢🌊!",
    "https://example.org/a/b?c=d&e=%20f#g  user@example.org  C:\\Users\\x",
    "def square(x: float) -> float:\n    return x ** 2  # (n,) -> (n,)",
    "WARNING: ALL CAPITALS, A LONGWORDTHATNOVOCABULARYHAS AND ÀÇÇÉÑTS",
    "Nested transcriptional regulation of interleukin-6 by NF-κB p65 (RelA) in CD4+ T lymphocytes, 37 °C, pH 7.4.",
    "The ferry leaves the northern pier at noon. It carries forty passengers and six cars, and takes half an hour to "
    "cross the sound. In winter it runs only on weekdays, and in a storm it does not run at all; the harbour master "
    "hoists a black ball when the crossing is closed, and telephones the school.",
    " ".join(f"Paragraph {number} of a text that is longer than any model reads." for number in range(400)),
)
"""What an engine is verified with: several languages and scripts, lengths from nothing to more than a model reads."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a model reads, in sentence-transformers' words; the last only where it has it."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


class EngineError(Exception):
    """There is no engine for a model; the message says why, in one line.

    With `lasting`, another try would end alike and is not made until the model or OpenVINO changes.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


def precisions_here(openvino: Any) -> tuple[str, ...]:  # noqa: ANN401
    """What the processor computes in, the quickest first."""
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if "BF16" in able else ("fp32",)


def make(folder: Path, reference: Reference, precisions: Sequence[str]) -> Compiled:
    """An engine written to `folder` and verified, in the first of `precisions` that agrees with the reference.

    Raises:
        EngineError: the model cannot be converted, or the engine's vectors are not its own.
        OSError: `folder` cannot be written.
    """
    openvino = import_openvino()
    blueprint = _blueprint(reference, folder / TOKENIZER)
    model = _converted(reference, blueprint["inputs"])
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    (folder / "model.bin").rename(folder / WEIGHTS)
    for precision in precisions:
        (folder / BLOB).write_bytes(_compiled(folder / "model.xml", folder / WEIGHTS, precision))
        Card(precision=precision, cosine=-1.0, **blueprint).save(folder)
        try:
            engine = Compiled.open(folder)
        except DamagedEngineError as error:
            raise EngineError(f"OpenVINO cannot read its own engine ({error})") from error
        with _one_thread():
            cosine = _agreement(engine, reference)
        if cosine >= COSINE:
            (folder / "model.xml").unlink()
            Card(precision=precision, cosine=cosine, **blueprint).save(folder)
            return engine
    raise EngineError(
        f"OpenVINO's vectors are not those of sentence-transformers (cosine {cosine:.4f}, at least {COSINE} expected)",
        lasting=True,
    )


def _compiled(model: Path, weights: Path, precision: str) -> bytes:
    """The compiled model, which refers to `weights` and holds only what OpenVINO folded.

    Raises:
        EngineError: OpenVINO cannot compile it.
    """
    core = import_openvino().Core()
    try:
        blob = core.compile_model(core.read_model(model, weights), "CPU", properties(precision)).export_model()
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot compile the model ({str(error).splitlines()[0]})") from error
    return bytes(blob.getvalue())


def _agreement(engine: Compiled, reference: Reference) -> float:
    """The least cosine of the engine's vectors with the reference's over SENTENCES, as documents and as questions."""
    pairs: list[tuple[Encode, Encode]] = [(engine.encode_documents, reference.encode_documents)]
    if engine.card.query_prompt != engine.card.document_prompt:
        pairs.append((engine.encode_queries, reference.encode_queries))
    least = 1.0
    for ours, theirs in pairs:
        alone = np.concatenate([theirs([text]) for text in SENTENCES])  # (n, dim); so that padding shows, too
        try:
            least = min(least, float((ours(SENTENCES) * alone).sum(axis=1).min()))
        except RuntimeError:  # a shape that only the traced example had
            return -1.0
    return least if np.isfinite(least) else -1.0


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch with one thread: with two on busy cores a short text took .4 s, because they wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _blueprint(reference: Reference, path: Path) -> dict[str, Any]:
    """All fields of the card that the model itself decides; its tokenizer is written to `path`.

    Raises:
        EngineError: the model reads something else than the tokens of a text.
    """
    from tokenizers import Tokenizer

    tokenizer, model = reference.tokenizer, reference.model
    if not getattr(tokenizer, "is_fast", False):
        raise EngineError("the model has none of transformers' fast tokenizers", lasting=True)
    inputs = 3 if "token_type_ids" in tokenizer.model_input_names else 2
    if set(tokenizer.model_input_names) != set(INPUTS[:inputs]) or tokenizer.padding_side != "right":
        raise EngineError("the model does not read plain tokens padded on the right", lasting=True)
    bare = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    bare.no_truncation()
    bare.no_padding()
    bare.save(str(path))
    full, inner = bare.encode("ferry").ids, bare.encode("ferry", add_special_tokens=False).ids
    start = next((i for i in range(len(full)) if full[i : i + len(inner)] == inner), 0)
    prompts, default = model.prompts, model.default_prompt_name
    return {
        "dimension": reference.dimension,
        "length": model.max_seq_length or 512,
        "max_tokens": reference.max_tokens,
        "fingerprint": reference.fingerprint,
        "inputs": inputs,
        "prefix": tuple(full[:start]),
        "suffix": tuple(full[start + len(inner) :]),
        "pad": tokenizer.pad_token_id or 0,
        "query_prompt": _prompt(prompts, ("query", default)),
        "document_prompt": _prompt(prompts, ("document", "passage", "corpus", default)),
    }


def _prompt(prompts: Mapping[str | None, str | None], names: tuple[str | None, ...]) -> str:
    """The first prompt of those names, as sentence-transformers chooses it."""
    return next((prompts[name] or "" for name in names if name in prompts), "")


def _converted(reference: Reference, inputs: int) -> Any:  # noqa: ANN401
    """The model as OpenVINO's: token ids, mask and perhaps types, each (n, tokens), to unit vectors (n, dimension).

    Raises:
        EngineError: it cannot be traced, or does what OpenVINO does not know.
    """
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    trace: Any = torch.jit.trace
    names = INPUTS[:inputs]

    def forward(*tensors: torch.Tensor) -> torch.Tensor:
        vectors = reference.model(dict(zip(names, tensors, strict=True)))["sentence_embedding"]
        return torch.nn.functional.normalize(vectors, dim=1)

    reference.model.requires_grad_(False)  # else the weights could not be constants of the traced function
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])  # a text of five tokens, one of three
    example = (ids, (ids > 0).long(), torch.zeros_like(ids))[:inputs]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what tracing could miss, the verification finds
            traced = trace(forward, example, check_trace=False)
            frontend = FrontEndManager().load_by_framework("pytorch")
            decoder = TorchScriptPythonDecoder(traced)  # must live until the model is converted
            return frontend.convert(frontend.load(decoder))
    except Exception as error:  # whatever the model's own code and the converter raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise EngineError(f"the model cannot be converted ({reason})", lasting=True) from error
