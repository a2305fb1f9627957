"""The component in pipelines of the real spaCy: what stands on the Doc is what the model says."""

from __future__ import annotations

import pickle
import tomllib
from importlib.metadata import EntryPoint

import pytest

import destila
from destila.errors import ModelError
from tests.adapters.conftest import LONG, TEXT
from tests.rules.conftest import ROOT

spacy = pytest.importorskip("spacy")
from destila.adapters.spacy import DocReader, make_component  # noqa: E402


def pipeline(folder, **config):
    nlp = spacy.blank("es")
    nlp.add_pipe("destila", config={"model": str(folder), **config})
    return nlp


@pytest.fixture
def tagger(folder_of):
    return folder_of("tag")


def test_entities_stand_on_the_tokens_of_the_doc(tagger, lines):
    """Each as the model says of these words; offsets are code points of the text as it stands."""
    nlp, model = pipeline(tagger), destila.load(tagger)
    seen = 0
    for text in [TEXT, *lines]:
        doc = nlp(text)
        words = [token.text for token in doc if not token.is_space]
        said = model.predict({"words": words}).spans
        assert [(e.label_, "".join(e.text.split())) for e in doc.ents] == [
            (s.label, "".join(s.text.split())) for s in said
        ]
        assert [e._.destila_probability for e in doc.ents] == [s.probability for s in said]
        assert all(text[e.start_char : e.end_char] == e.text for e in doc.ents)
        seen += len(said)
    assert seen > 20


def test_a_stream_is_answered_as_each_text_alone(tagger, lines):
    nlp = pipeline(tagger)
    texts = ["", *lines, " \n ", TEXT]
    streamed = [doc.to_json() for doc in nlp.pipe(texts, batch_size=7)]
    assert streamed == [nlp(text).to_json() for text in texts]


@pytest.mark.parametrize(
    ("labels", "attribute"), [(("NOUN", "PUNCT", "VERB"), "pos_"), (("np00", "vmi", "fp"), "tag_")]
)
def test_parts_of_speech_stand_on_every_word(weights_of, labels, attribute):
    doc = pipeline(weights_of("tag", labels))(TEXT)
    given = [getattr(token, attribute) for token in doc]
    words = [token for token in doc if not token.is_space]
    assert [bool(tag) for tag in given] == [not token.is_space for token in doc]
    expected = destila.load(weights_of("tag", labels)).predict({"words": [w.text for w in words]})
    assert [tag for tag in given if tag] == [span.label for span in expected.spans]


def test_classes_are_categories_and_a_cut_text_says_so(folder_of):
    doc = pipeline(folder_of("classify"))(TEXT)
    assert doc.cats == destila.load(folder_of("classify")).predict(TEXT).probabilities
    assert pipeline(folder_of("classify"))("Hola.")._.destila_warning is None
    long = pipeline(folder_of("classify"))(" ".join([TEXT] * 9))
    assert long._.destila_warning.startswith("only the first")


def test_a_saved_pipeline_opens_its_model_by_name(tagger, tmp_path):
    nlp = pipeline(tagger, min_probability=0.3)
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.load(tmp_path / "nlp")
    other = type(nlp).from_config(nlp.config).from_bytes(nlp.to_bytes())
    for loaded in (again, other):
        assert loaded(TEXT).to_json() == nlp(TEXT).to_json()
        assert loaded.get_pipe("destila").model == str(tagger)
    assert not list((tmp_path / "nlp").rglob("*.onnx"))


def test_entities_of_earlier_components_stay_unless_overwritten(tagger):
    def doc(**config):
        nlp = spacy.blank("es")
        rules = nlp.add_pipe("entity_ruler")
        rules.add_patterns([{"label": "AÑO", "pattern": "2019"}, {"label": "X", "pattern": "vive"}])
        nlp.add_pipe("destila", config={"model": str(tagger), **config})
        return nlp(LONG)

    plain = [(e.text, e.label_) for e in pipeline(tagger)(LONG).ents]
    assert [(e.text, e.label_) for e in doc(overwrite=True).ents] == plain
    both = [(e.text, e.label_) for e in doc().ents]
    assert {("2019", "AÑO"), ("vive", "X")} <= set(both)
    assert len(set(both) & set(plain)) > 0


def test_entities_below_a_probability_are_left_out(tagger):
    every = pipeline(tagger)(LONG).ents
    some = sorted(e._.destila_probability for e in every)[len(every) // 2]
    kept = pipeline(tagger, min_probability=some)(LONG).ents
    assert 0 < len(kept) < len(every)
    assert all(e._.destila_probability >= some for e in kept)


def test_another_process_opens_the_model_itself(tagger):
    """Pickled for a new process, or forked with threads that are gone."""
    reader = DocReader(str(tagger))
    first = reader.labeller
    assert pickle.loads(pickle.dumps(reader)).labels == reader.labels
    reader._opened = (0, first)
    assert reader.labeller is not first


def test_what_cannot_be_a_component_is_refused(folder_of, tmp_path):
    with pytest.raises(ModelError, match="answers questions"):
        pipeline(folder_of("span"))
    with pytest.raises(ModelError, match="is not a model folder"):
        pipeline(tmp_path)


def test_spacy_knows_the_component_by_its_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"]["spacy_factories"].items()
    assert name == "destila"
    assert EntryPoint(name, value, "spacy_factories").load() is make_component
