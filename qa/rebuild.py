"""A library encoded anew with another encoder, while it goes on answering with the old one."""

from __future__ import annotations

from collections.abc import Callable

from embeddings import Encoder
from qa.passages import Sentence, pack, sentences_of
from qa.store import Store, text_hash
from qa.sync import OnProgress, encode_missing
from qa.types import Progress

REPLACED = "replaced"
"""The encoder's name of vectors that a rebuild with the same encoder is about to replace."""


def rebuild(store: Store, encoder: Encoder, on_progress: OnProgress) -> None:
    """Encode every document's sentences, then put the new passages and vectors in place in one transaction.

    Stopped before that, the library answers as it did, and what was encoded is used when it is run again. With the
    library's own encoder all vectors are made anew, too: it mends damaged ones.
    """
    if encoder.fingerprint == store.meta("fingerprint"):
        with store.transaction():
            store.rename_encoder(encoder.fingerprint, REPLACED)
    documents = [document for document, _, _ in store.document_rows()]
    for done, document in enumerate(documents):
        text, sentences = _split(store, encoder, document)
        tell = _teller(on_progress, done, len(documents))
        encode_missing(store, encoder, (text[s.start : s.end] for s in sentences), tell)
        tell()
    with store.transaction():
        for document in documents:
            text, sentences = _split(store, encoder, document)
            hashes = [text_hash(text[s.start : s.end]) for s in sentences]
            vectors = store.vectors_of(encoder.fingerprint, hashes)
            places = {(s.start, s.end): vectors[digest] for s, digest in zip(sentences, hashes, strict=True)}
            store.replace_passages(document, pack(store.blocks(document), sentences), places)
        for key, value in (
            ("encoder", encoder.name),
            ("fingerprint", encoder.fingerprint),
            ("dimension", str(encoder.dimension)),
            ("encoded_by", encoder.engine),
        ):
            store.set_meta(key, value)
        store.drop_unused_vectors(all_of_them=True)


def _split(store: Store, encoder: Encoder, document: int) -> tuple[str, list[Sentence]]:
    text, _, _ = store.text(document)
    return text, sentences_of(text, store.blocks(document), encoder.count_tokens, encoder.max_tokens)[0]


def _teller(on_progress: OnProgress, done: int, total: int) -> Callable[[], None]:
    return lambda: on_progress(Progress("encoding", done, total, done, total, 0))
