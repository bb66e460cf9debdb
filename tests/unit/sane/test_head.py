"""Which layer a classifier's classes come from, told by names, shapes and config.json, or not at all."""

from __future__ import annotations

import pytest

from hubbot.errors import UsageError
from hubbot.sane.head import head_of, relabelled
from hubbot.sane.tokens import Layout

BODY = {"layer.0.dense.weight": (8, 8), "layer.0.dense.bias": (8,), "token_type_embeddings.weight": (2, 8)}
BERT = {"architectures": ["BertForSequenceClassification"]}


def layout(classes: int, name: str = "classifier", **more: tuple[int, ...]) -> Layout:
    return Layout.of({f"{name}.weight": (classes, 8), f"{name}.bias": (classes,), **BODY, **more}, 16)


def test_the_last_layer_is_it_where_the_config_agrees():
    head = "classifier.weight", "classifier.bias"
    assert head_of(BERT, layout(2)) == head, "two labels go without saying"
    assert head_of({**BERT, "id2label": {"0": "a", "1": "b", "2": "c"}}, layout(3)) == head
    shapes = {"fc1.weight": (8, 4), "fc2.weight": (10, 8), "fc2.bias": (10,), "norm2.weight": (8,)}
    assert head_of({"num_labels": 10}, Layout.of(shapes, 16)) == ("fc2.weight", "fc2.bias")


@pytest.mark.parametrize(
    ("config", "shapes", "told"),
    [
        (BERT, layout(3), "its 2 classes come from is not clear"),
        ({"num_labels": 8}, layout(8), "its 8 classes come from is not clear"),
        (BERT, layout(2, "answer"), "its 2 classes come from is not clear"),
        (BERT, Layout.of({"scale": (2,)}, 16), "is not clear"),
        ({"architectures": ["BertForQuestionAnswering"]}, layout(2), "it is a BertForQuestionAnswering"),
        ({**BERT, "problem_type": "regression", "num_labels": 3}, layout(3), "does not say that it sorts"),
        ({**BERT, "num_labels": 1}, layout(1), "does not say that it sorts"),
        ({}, layout(2), "does not say that it sorts"),
        ({"num_labels": "2", "architectures": 5}, layout(2), "does not say that it sorts"),
        ({"num_labels": True}, layout(2), "does not say that it sorts"),
    ],
)
def test_nothing_is_guessed(config, shapes, told):
    with pytest.raises(UsageError, match=told):
        head_of(config, shapes)


def test_a_config_of_other_classes_agrees_with_itself():
    told = relabelled({"num_labels": 3, "id2label": {"0": "cat"}, "label2id": {"cat": 0}, "width": 4}, 2)
    names = {"0": "LABEL_0", "1": "LABEL_1"}
    assert told == {
        "num_labels": 2, "id2label": names, "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "width": 4,
    }  # fmt: skip
    assert "num_labels" not in relabelled(BERT, 4), "transformers counts its names"
