"""MiniLM's forward pass in NumPy: a text encoder that starts in a moment.

MiniLM (arXiv 2002.10957) is a BERT (arXiv 1810.04805) of six layers. Whoever asks one question of a search
waits for what encodes it to start. The usual libraries need seven seconds of a core for that, this a third of
one, and a question takes the same 15 ms either way.

Letters: n texts, t tokens of the longest, d features, h heads, m features inside a layer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from hubbot.records import Floats

BATCH = 32  # texts in one pass, those of about one length together

NEVER = np.float32(-1e9)
"""Added to the score of a token that is only padding."""


class MiniLM:
    """The model of one folder, as Hub repos of sentence-transformers lay it out."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.dimension: int = config["hidden_size"]
        self._heads, self._layers = config["num_attention_heads"], config["num_hidden_layers"]
        self._epsilon = np.float32(config["layer_norm_eps"])
        self._weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        sentences = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(sentences["max_seq_length"])

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit rows in the order of the texts, (n, d)."""
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        rows = np.empty((len(texts), self.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            rows[chosen] = self._pass([tokens[i] for i in chosen])
        return rows

    def _pass(self, tokens: Sequence[Sequence[int]]) -> Floats:
        longest = max(map(len, tokens))
        ids = np.array([[*each, *[0] * (longest - len(each))] for each in tokens])  # (n, t)
        real = np.array([[1.0] * len(each) + [0.0] * (longest - len(each)) for each in tokens], np.float32)
        W = self._weights
        X = W["embeddings.word_embeddings.weight"][ids]  # (n, t, d)
        X += W["embeddings.position_embeddings.weight"][:longest]
        X += W["embeddings.token_type_embeddings.weight"][0]
        X = self._norm("embeddings.LayerNorm", X)
        unseen = (1 - real)[:, None, None] * NEVER  # (n, 1, 1, t)
        for i in range(self._layers):
            X = self._layer(f"encoder.layer.{i}", X, unseen)
        means = np.einsum("ntd,nt->nd", X, real) / real.sum(1, keepdims=True)  # (n, d)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)

    def _layer(self, name: str, X: Floats, unseen: Floats) -> Floats:
        attended = self._linear(f"{name}.attention.output.dense", self._attention(name, X, unseen))
        X = self._norm(f"{name}.attention.output.LayerNorm", X + attended)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", X))  # (n, t, m)
        return self._norm(f"{name}.output.LayerNorm", X + self._linear(f"{name}.output.dense", inner))

    def _attention(self, name: str, X: Floats, unseen: Floats) -> Floats:
        n, t, d = X.shape
        linear = partial(self._linear, X=X)
        Q, K, V = (  # (n, h, t, d / h)
            linear(f"{name}.attention.self.{part}").reshape(n, t, self._heads, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = Q @ K.transpose(0, 1, 3, 2)  # (n, h, t, t)
        scores *= np.float32((d / self._heads) ** -0.5)
        scores += unseen
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        return np.asarray((scores @ V).transpose(0, 2, 1, 3).reshape(n, t, d), np.float32)

    def _linear(self, name: str, X: Floats) -> Floats:
        flat = X.reshape(-1, X.shape[-1]) @ self._weights[f"{name}.weight"].T
        flat += self._weights[f"{name}.bias"]
        return flat.reshape(*X.shape[:-1], -1)

    def _norm(self, name: str, X: Floats) -> Floats:
        X = X - X.mean(-1, keepdims=True)
        X /= np.sqrt(np.einsum("ntd,ntd->nt", X, X) / np.float32(self.dimension) + self._epsilon)[..., None]
        X *= self._weights[f"{name}.weight"]
        X += self._weights[f"{name}.bias"]
        return X


def _gelu(X: Floats) -> Floats:
    """`x Φ(x)`."""
    Y = X * np.float32(0.5**0.5)
    erf(Y, out=Y)
    Y += 1
    Y *= X
    Y *= np.float32(0.5)
    return Y
