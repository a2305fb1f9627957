"""CESS-ESP: bracketed Latin-1 trees in a zip, overlap with AnCora, dev and test from AnCora."""

from __future__ import annotations

import zipfile

import pytest

from destila.datasets import cess_pos
from destila.errors import DataError

FIRST = """
(
  (S
    (sn.e-SUJ *0*)
    (grup.verb
      (vmip3s0 Vuelve volver))
    (sp
      (prep
        (spcms al al))
      (sn
        (grup.nom.ms
          (np00000 Café_del_Año Café_del_Año)
          (Fpa -Fpa- -Fpa-)
          (W jueves [jueves:??/??/??:??.??])
          (Fpt -Fpt- -Fpt-))))
    (Fp . .)))

(
  (S
    (grup.verb
      (vmip3s0 Llueve llover))
    (Fp . .)))
"""
SECOND = (
    "(\n  (S\n    (grup.verb\n      (vmip3s0 Nieva nevar))\n    (Fp . .)))\n\n"
    "(\n  (S\n    (rg Hoy hoy)\n"
)
CONLLU = (
    "# sent_id = {0}\n1\t{1}\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
    "2\t.\t.\tPUNCT\tfp\t_\t1\tpunct\t_\t_\n\n"
)


@pytest.fixture
def folders(tmp_path):
    cess, ancora = tmp_path / "cess", tmp_path / "ancora"
    cess.mkdir()
    ancora.mkdir()
    with zipfile.ZipFile(cess / "cess_esp.zip", "w") as archive:
        archive.writestr("cess_esp/README", "not a tree")
        archive.writestr("cess_esp/1_a.tbf", FIRST.encode("latin-1"))
        archive.writestr("cess_esp/2_b.tbf", SECOND.encode("latin-1"))
    header = "tbf_file\tsentence_index\tud_split\tud_sent_id\n"
    (cess / "overlap_with_ud_ancora.tsv").write_text(header + "cess_esp/1_a.tbf\t1\tdev\tX-s1\n")
    (ancora / "es_ancora-ud-dev.conllu").write_text(CONLLU.format("X-s1", "Llueve"))
    (ancora / "es_ancora-ud-test.conllu").write_text(CONLLU.format("X-s2", "Truena"))
    return {"root": str(cess), "ancora": str(ancora)}


def test_trees_become_words_and_universal_tags(folders):
    example = cess_pos.load(cess_pos.Options(**folders)).splits["train"][0]
    assert example.text == "Vuelve al Café del Año ( jueves ) ."
    surfaces = ["Vuelve", "al", "al", "Café", "del", "del", "Año", "(", "jueves", ")", "."]
    assert [example.text[a:b] for a, b in example.words] == surfaces
    assert example.target == (
        "VERB",
        "ADP",
        "DET",
        "PROPN",
        "ADP",
        "DET",
        "PROPN",
        "PUNCT",
        "NOUN",
        "PUNCT",
        "PUNCT",
    )


def test_dev_and_test_are_ancora(folders):
    splits = cess_pos.load(cess_pos.Options(**folders)).splits
    assert [e.text for e in splits["dev"]] == ["Llueve ."]
    assert [e.text for e in splits["test"]] == ["Truena ."]


def test_sentences_listed_as_overlap_are_dropped_and_counted(folders):
    data = cess_pos.load(cess_pos.Options(**folders))
    assert "Llueve ." not in {e.text for e in data.splits["train"]}
    assert data.notes["sentences listed as overlap with AnCora, dropped"] == 1


def test_a_sentence_equal_to_a_test_sentence_is_dropped(folders, tmp_path):
    """It is dropped though the list of copies lacks it."""
    (tmp_path / "ancora" / "es_ancora-ud-test.conllu").write_text(CONLLU.format("X-s2", "Nieva"))
    data = cess_pos.load(cess_pos.Options(**folders))
    assert data.notes["sentences equal to an AnCora dev or test sentence, dropped"] == 1
    assert "Nieva ." not in {e.text for e in data.splits["train"]}


def test_overlap_can_be_kept(folders):
    train = cess_pos.load(cess_pos.Options(**folders, overlap="keep")).splits["train"]
    assert [e.text for e in train[1:]] == ["Llueve .", "Nieva .", "Hoy"]


def test_an_open_bracket_still_gives_its_sentence(folders):
    """A bracket that is never closed does no harm."""
    assert cess_pos.load(cess_pos.Options(**folders)).splits["train"][-1].text == "Hoy"


def test_a_missing_overlap_list_is_an_error(folders, tmp_path):
    (tmp_path / "cess" / "overlap_with_ud_ancora.tsv").unlink()
    with pytest.raises(DataError, match=r"no overlap_with_ud_ancora\.tsv"):
        cess_pos.load(cess_pos.Options(**folders))


def test_a_damaged_archive_is_an_error(folders, tmp_path):
    (tmp_path / "cess" / "cess_esp.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match="not a whole zip archive"):
        cess_pos.load(cess_pos.Options(**folders))
