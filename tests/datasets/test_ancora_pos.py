"""UD AnCora: both readings of multiword tokens, a missing train file, the 18 labels."""

from __future__ import annotations

from destila.datasets import ancora_pos

CONLLU = """# newdoc id = CESS-CAST-9
# sent_id = CESS-CAST-9-s1
# text = Vuelve al bar
1\tVuelve\tvolver\tVERB\tvmip3s0\t_\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\tspcms\t_\t4\tcase\t_\t_
3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_
4\tbar\tbar\tNOUN\tncms000\t_\t1\tobl\t_\t_

"""


def _folder(tmp_path, *splits):
    for split in splits:
        (tmp_path / f"es_ancora-ud-{split}.conllu").write_text(CONLLU, encoding="utf-8")
    return str(tmp_path)


def test_true_words_share_the_surface_of_their_token(tmp_path):
    data = ancora_pos.load(ancora_pos.Options(root=_folder(tmp_path, "train", "dev", "test")))
    (example,) = data.splits["test"]
    assert (example.id, example.text) == ("CESS-CAST-9-s1", "Vuelve al bar")
    assert example.words[1] == example.words[2] == (7, 9)
    assert example.target == ("VERB", "ADP", "DET", "NOUN")
    assert data.notes == {"multiword tokens": 3}


def test_underscore_gives_the_class_of_the_published_numbers(tmp_path):
    options = ancora_pos.Options(root=_folder(tmp_path, "train", "dev", "test"), mwt="underscore")
    (example,) = ancora_pos.load(options).splits["dev"]
    assert (example.text, example.target) == (
        "Vuelve al a el bar",
        ("VERB", "_", "ADP", "DET", "NOUN"),
    )


def test_without_a_train_file_dev_and_test_are_loaded(tmp_path):
    """That there is none is noted."""
    data = ancora_pos.load(ancora_pos.Options(root=_folder(tmp_path, "dev", "test")))
    assert list(data.splits) == ["dev", "test"]
    assert data.notes["splits without a file (train)"] == 1


def test_the_eighteen_labels_are_there_in_both_readings(tmp_path):
    root = _folder(tmp_path, "dev", "test")
    for mwt in ("words", "underscore"):
        assert len(ancora_pos.load(ancora_pos.Options(root=root, mwt=mwt)).labels) == 18
