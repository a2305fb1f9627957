"""The HTTP API: the command's answers, and a problem object for everything else."""

from __future__ import annotations

import json
import time

import pytest

import destila
from destila.results import RefusedResult
from destila.serve.bodies import Limits

MALFORMED = {
    "no JSON": (b"{", 400),
    "nested too deep": (b"[" * 100_000, 400),
    "endless integer": (b"1" * 5_000, 400),
    "not UTF-8": (b'"\xff"', 400),
    "nothing": (b"", 400),
    "a number": (b"3", 422),
    "null": (b"null", 422),
    "an empty list": (b"[]", 422),
    "a list of numbers": (b"[1, 2]", 422),
    "an unknown key": (b'{"texto": "hola"}', 422),
    "no text": (b'{"id": "a"}', 422),
    "a text that is a list": (b'{"text": ["hola"]}', 422),
    "a pair that is a number": (b'{"text": "hola", "pair": 1e400}', 422),
    "words that are no list": (b'{"text": "a", "words": {"a": 1}}', 422),
}


@pytest.mark.parametrize("task", ["classify", "pair", "tag", "span"])
def test_answers_are_those_of_python(client, asked, task):
    """A list, and each text alone, get the very objects of `destila.load(...).predict`."""
    with client(task, workers=2) as server:
        texts = asked(task)[:12]
        folder = next(iter(_pool(server).folders.values()))
        expected = [answer.to_dict() for answer in destila.load(folder).predict(texts)]
        sent = [{"id": str(i), **_object(text)} for i, text in enumerate(texts)]
        many = server.post(f"/v1/models/{task}/predict", json=sent)
        assert (many.status_code, many.json()) == (200, expected)
        for row, answer in zip(sent[:4], expected, strict=False):
            assert server.post(f"/v1/models/{task}/predict", json=row).json() == answer


def test_a_stream_answers_every_line_in_order(client, asked):
    """Bad lines get an error in their place, with their number from 1; the others are answered."""
    with client("tag", workers=2) as server:
        lines = [json.dumps(text) for text in asked("tag")]
        lines[7] = "{"
        lines[9] = '{"pair": 3}'
        body = ("\n".join(lines) + "\n").encode()
        response = server.post("/v1/models/tag/predict/stream", content=body)
        rows = [json.loads(line) for line in response.text.splitlines()]
    assert len(rows) == len(lines)
    assert [row["id"] for row in rows if "id" in row] == [
        str(i) for i in range(len(lines)) if i not in (7, 9)
    ]
    assert [(row["error"]["status"], row["error"]["line"]) for row in rows if "error" in row] == [
        (400, 8),
        (422, 10),
    ]


def test_a_line_without_end_ends_the_stream(client):
    with client("tag", limits=Limits(body_bytes=50)) as server:
        response = server.post(
            "/v1/models/tag/predict/stream", content=b'"hola"\n"' + b"a" * 200 + b'"\n'
        )
        rows = [json.loads(line) for line in response.text.splitlines()]
    assert [row["error"]["status"] for row in rows] == [413]


@pytest.mark.parametrize("kind", sorted(MALFORMED))
def test_a_bad_body_is_a_problem(client, kind):
    body, status = MALFORMED[kind]
    with client("classify") as server:
        response = server.post("/v1/models/classify/predict", content=body)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert response.json()["detail"]
        assert server.post("/v1/models/classify/predict", json="hola").status_code == 200


def test_half_an_emoji_is_answered(client):
    with client("classify") as server:
        response = server.post("/v1/models/classify/predict", content=b'{"text": "\\ud83d hola"}')
        assert (response.status_code, response.json()["text"]) == (200, "\ufffd hola")


def test_limits_are_kept(client):
    """Bodies, texts in a request and characters of a text are bounded."""
    limits = Limits(body_bytes=100, texts=2, characters=10)
    with client("classify", limits=limits) as server:
        place = "/v1/models/classify/predict"
        assert server.post(place, json="a" * 200).status_code == 413
        assert server.post(place, json=["a", "b", "c"]).status_code == 422
        assert server.post(place, json="a" * 11).status_code == 422
        assert server.post(place, json=["a", "b"]).status_code == 200


def test_a_full_queue_says_when_to_come_again(client):
    with client("classify", capacity=3) as server:
        response = server.post("/v1/models/classify/predict", json=["a", "b", "c", "d"])
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert server.post("/v1/models/classify/predict", json=["a", "b", "c"]).status_code == 200


def test_time_is_bounded(client, monkeypatch):
    """A request whose texts are not answered in time is given up."""
    slow, answer = "destila.serve.pool.Labeller.answers", RefusedResult("0", "late")
    monkeypatch.setattr(slow, lambda _, texts, **__: time.sleep(0.3) or [answer] * len(texts))
    with client("classify", limits=Limits(seconds=0.05)) as server:
        response = server.post("/v1/models/classify/predict", json=["hola", "adiós"])
        assert (response.status_code, "fewer texts" in response.text) == (504, True)


def test_a_token_is_asked_for(client):
    """Only the page and the signs of life are open; the answer does not say what was wrong."""
    with client("classify", token="secreto") as server:
        assert server.get("/health").status_code == server.get("/").status_code == 200
        for sent in ({}, {"Authorization": "Bearer falso"}, {"Authorization": "secreto"}):
            refused = server.get("/v1/models", headers=sent)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert server.get("/metrics", headers=sent).status_code == 401
        known = {"Authorization": "Bearer secreto"}
        assert server.get("/v1/models", headers=known).status_code == 200


def test_models_and_signs_of_life(client):
    with client("tag") as server:
        model = {"name": "tag", "task": "tag", "labels": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}
        assert server.get("/v1/models").json() == {"models": [model]}
        assert server.get("/ready").json() == {"status": "ready"}
        server.post("/v1/models/tag/predict", json=["hola", "adiós"])
        assert 'destila_texts_total{model="tag"} 2.0' in server.get("/metrics").text


def test_what_does_not_exist_is_a_problem(client):
    with client("tag") as server:
        for response, status in (
            (server.get("/nada"), 404),
            (server.get("/v1/models/tag/predict"), 405),
            (server.post("/v1/models/otro/predict", json="hola"), 404),
            (server.post("/v1/models/otro/predict/stream", content=b'"hola"'), 404),
        ):
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"


def test_no_other_site_is_let_in(client):
    """Without CORS headers a browser keeps the answer from another site's script."""
    with client("tag") as server:
        response = server.get("/v1/models", headers={"Origin": "https://otro.example"})
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_site_that_is_let_in_may_ask(client):
    """It asks first whether it may, without the token."""
    with client("tag", token="secreto", origins=["https://mio.example"]) as server:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        for origin, allowed in (("https://mio.example", True), ("https://otro.example", False)):
            first = server.options("/v1/models/tag/predict", headers={"Origin": origin, **asked})
            assert (first.headers.get("access-control-allow-origin") == origin) is allowed
            told = {"Origin": origin, "Authorization": "Bearer secreto"}
            answer = server.post("/v1/models/tag/predict", json="hola", headers=told)
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


def test_a_failure_of_ours_is_a_problem_without_the_text(client, monkeypatch):
    with client("tag") as server:
        monkeypatch.setattr("destila.serve.pool.Labeller.answers", lambda *_, **__: 1 // 0)
        response = server.post("/v1/models/tag/predict", json="Begoña")
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert "ZeroDivisionError" in response.text
        assert "Begoña" not in response.text


def test_the_page_asks_nobody_else(client):
    with client("tag") as server:
        page = server.get("/")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for file in ("/", "/page.css", "/page.js", "/answers.js"):
            assert "http://" not in server.get(file).text
            assert "https://" not in server.get(file).text


def test_logs_hold_no_text(client, caplog):
    with caplog.at_level("INFO"), client("tag") as server:
        server.post("/v1/models/tag/predict", json="Begoña vive en Soria")
    entries = [json.loads(r.message) for r in caplog.records if r.name == "destila.serve.guard"]
    assert entries[-1]["path"] == "/v1/models/tag/predict"
    assert entries[-1]["status"] == 200
    assert "Begoña" not in caplog.text


def test_the_document_has_examples(client):
    with client("tag") as server:
        document = server.get("/openapi.json").json()
    body = document["paths"]["/v1/models/{name}/predict"]["post"]["requestBody"]
    examples = body["content"]["application/json"]["examples"]
    assert "a question" in examples


def _object(text):
    return {"text": text} if isinstance(text, str) else text


def _pool(server):
    return server.app.state.server.pool
