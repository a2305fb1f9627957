"""Schemathesis asks what the OpenAPI document allows, and what it forbids; answers are as written."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destila.serve.bodies import Limits

schemathesis = pytest.importorskip("schemathesis")
from schemathesis import GenerationMode, checks  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

WRITTEN = [
    checks.not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]

FEW = settings(
    max_examples=10, suppress_health_check=list(HealthCheck), derandomize=True, deadline=None
)


@schemathesis.serializer("application/x-ndjson")
def lines(_, value):
    """Send a stream's lines as they are drawn."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else value


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "tag", "span"])
def test_every_answer_is_as_the_document_says(served, task):
    address = served(task, limits=Limits(texts=4, characters=500))
    document = schemathesis.openapi.from_url(f"{address}/openapi.json")
    statuses: dict[str, set[int]] = {}
    for operation in (each.ok() for each in document.get_all_operations()):
        # A stream answers a wrong line in its place; and what takes nothing cannot be asked wrongly.
        wrong = [GenerationMode.NEGATIVE] if operation.path.endswith("/predict") else []
        for mode in [GenerationMode.POSITIVE, *wrong]:
            _ask(operation, mode, task, statuses.setdefault(operation.path, set()))

    assert {"/v1/models", "/health", "/ready", "/metrics"} < statuses.keys()
    # Both what is answered and what is refused was asked.
    assert {200, 404, 422} <= statuses["/v1/models/{name}/predict"]
    assert {200, 404} <= statuses["/v1/models/{name}/predict/stream"]


def _ask(operation, mode, task, statuses):
    """Ask with what the strategy draws, half of the time about the model that there is."""

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def ask(case, known):
        if known and "name" in case.path_parameters:
            case.path_parameters["name"] = task
        response = case.call_and_validate(checks=WRITTEN)
        statuses.add(response.status_code)

    ask()
