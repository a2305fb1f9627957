"""What the OpenAPI document says of bodies and answers, with examples.

Bodies are read by `serve/bodies.py`, with limits that a framework's parser does not have; so their
schemas are written out here.
"""

from __future__ import annotations

from typing import Any

_STRING = {"type": "string"}

ITEM: dict[str, Any] = {
    "oneOf": [
        _STRING,
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "id": {"oneOf": [_STRING, {"type": "integer"}]},
                "text": _STRING,
                "pair": _STRING,
                "words": {"type": "array", "items": _STRING},
                "question": _STRING,
                "context": _STRING,
            },
        },
    ]
}
"""One text."""

EXAMPLES = {
    "one text": {"value": {"text": "Me encantó el servicio."}},
    "a list": {"value": ["Me encantó.", {"id": "b", "text": "No vuelvo."}]},
    "a pair": {"value": {"text": "Llueve en Lugo.", "pair": "En Lugo hace sol."}},
    "words to tag": {"value": {"words": ["Ana", "vive", "en", "Soria"]}},
    "a question": {
        "value": {"question": "¿Dónde vive Ana?", "context": "Ana vive en Soria desde 2019."}
    },
}

PREDICT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [ITEM, {"type": "array", "items": ITEM, "minItems": 1}]},
                "examples": EXAMPLES,
            }
        },
    }
}

STREAM_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": _STRING,
                "example": '{"text": "Me encantó."}\n{"text": "No vuelvo."}\n',
            }
        },
    }
}

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _STRING,
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
    },
}


def refused(description: str) -> dict[str, Any]:
    """Describe a response that is a problem object."""
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": PROBLEM}},
    }


def answered(
    description: str, example: Any, schema: dict[str, Any], kind: str = "application/json"
) -> dict[str, Any]:
    """Describe a response with an example."""
    return {"description": description, "content": {kind: {"schema": schema, "example": example}}}


_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_PLACE = {"type": "integer", "minimum": 0}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Describe an object; more keys may come."""
    properties = {"id": _STRING, **required}
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties | optional,
    }


CLASSIFIED = _object(
    {
        "text": _STRING,
        "label": _STRING,
        "probabilities": {"type": "object", "additionalProperties": _PROBABILITY},
    },
    pair=_STRING,
)

SPAN = {
    "type": "object",
    "required": ["start", "end", "label", "text", "probability"],
    "properties": {
        "start": _PLACE,
        "end": _PLACE,
        "label": _STRING,
        "text": _STRING,
        "probability": _PROBABILITY,
    },
}

TAGGED = _object({"text": _STRING, "spans": {"type": "array", "items": SPAN}})

ANSWERED = _object(
    {
        "answer": _STRING,
        "start": {"type": "integer"},
        "end": {"type": "integer"},
        "probability": _PROBABILITY,
        "null_probability": {"type": "number"},
    }
)

ANSWER_OBJECT = {"anyOf": [CLASSIFIED, TAGGED, ANSWERED]}
"""What a text is answered with: by a classifier, a tagger, a model of questions."""

ANSWER = {
    "id": "0",
    "text": "Me encantó el servicio.",
    "label": "positivo",
    "probabilities": {"negativo": 0.03, "positivo": 0.97},
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: refused("the body is not JSON"),
    401: refused("the token is missing or wrong"),
    404: refused("no such model"),
    408: refused("the body took too long to come"),
    413: refused("the body is too long"),
    422: refused("a text is missing, of the wrong kind, or too long"),
    500: refused("the server failed"),
    503: refused("too many texts wait; see Retry-After"),
    504: refused("no answer within the time limit"),
}

PREDICT: dict[int | str, dict[str, Any]] = {
    200: answered(
        "an object for one text, a list for a list",
        ANSWER,
        {"anyOf": [ANSWER_OBJECT, {"type": "array", "items": ANSWER_OBJECT}]},
    ),
    **REFUSALS,
}

STREAM: dict[int | str, dict[str, Any]] = {
    200: answered("a line per line", ANSWER, _STRING, "application/x-ndjson"),
    401: REFUSALS[401],
    404: REFUSALS[404],
    422: REFUSALS[422],
}

MODEL = {
    "type": "object",
    "required": ["name", "task", "labels"],
    "properties": {
        "name": _STRING,
        "task": _STRING,
        "labels": {"type": "array", "items": _STRING},
    },
}

MODELS: dict[int | str, dict[str, Any]] = {
    200: answered(
        "the models",
        {"models": [{"name": "es-ner", "task": "tag", "labels": ["O", "B-PER", "I-PER"]}]},
        {
            "type": "object",
            "required": ["models"],
            "properties": {"models": {"type": "array", "items": MODEL}},
        },
    ),
    401: REFUSALS[401],
}

_STATUS = {"type": "object", "required": ["status"], "properties": {"status": _STRING}}

HEALTH: dict[int | str, dict[str, Any]] = {200: answered("it lives", {"status": "ok"}, _STATUS)}

READY: dict[int | str, dict[str, Any]] = {
    200: answered("texts are taken", {"status": "ready"}, _STATUS),
    503: refused("the server stops, or cannot work"),
}

METRICS: dict[int | str, dict[str, Any]] = {
    200: answered(
        "counters and times", 'destila_texts_total{model="ner"} 3.0', _STRING, "text/plain"
    ),
    401: REFUSALS[401],
}
