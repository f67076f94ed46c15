"""Texts to vectors, and vectors to neighbours. Knows strings, float32 matrices and integer ids, not documents."""

from embeddings.encoder import BUNDLED, BUNDLED_SHA256, ENGINES, Encoder, EncoderUnavailableError
from embeddings.index import EXACT, VectorIndex

__all__ = ["BUNDLED", "BUNDLED_SHA256", "ENGINES", "EXACT", "Encoder", "EncoderUnavailableError", "VectorIndex"]
