"""What `destila serve` is compared with: a plain FastAPI application over a transformers pipeline.

MODEL is the folder; `uvicorn serving_peer:app` serves it, as many tutorials do.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

pipe = pipeline("text-classification", model=os.environ["MODEL"], top_k=None)
app = FastAPI()


class Body(BaseModel):
    """A request."""

    text: str


@app.post("/predict")
def predict(body: Body) -> Any:
    """Label one text."""
    return pipe(body.text)
