"""A user's own CoNLL-U files."""

from __future__ import annotations

import pytest

from destila.datasets import conllu
from destila.errors import DataError


def _file(tmp_path, name="datos.conllu", tag="NOUN"):
    rows = [
        f"# sent_id = s{n}\n1\tCasa{n}\tcasa\t{tag}\tnc\t_\t0\troot\t_\t_\n"
        "2\t.\t.\tPUNCT\tfp\t_\t1\tpunct\t_\t_\n"
        for n in range(60)
    ]
    path = tmp_path / name
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


def test_labels_of_train_and_missing_splits_cut_out(tmp_path):
    """The labels are those of train; splits that are missing are cut out of it."""
    data = conllu.load(conllu.Options(train=_file(tmp_path)))
    assert data.labels == ("NOUN", "PUNCT")
    assert sum(len(s) for s in data.splits.values()) == 60


def test_another_column_can_be_predicted(tmp_path):
    assert conllu.load(conllu.Options(train=_file(tmp_path), column="xpos")).labels == ("fp", "nc")


def test_a_tag_that_train_lacks_is_refused(tmp_path):
    test = _file(tmp_path, "test.conllu", tag="VERB")
    with pytest.raises(DataError, match="label 'VERB' of test example s0"):
        conllu.load(conllu.Options(train=_file(tmp_path), test=test))
