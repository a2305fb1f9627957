"""Prediction from an exported folder: text/ and onnxruntime or OpenVINO, no torch."""
