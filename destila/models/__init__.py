"""One encoder for BERT, RoBERTa, ALBERT and DistilBERT: its shapes, weights, heads and cost.

`architecture`, `presets`, `macs` and `names` are plain Python, so that a list of models costs no torch
import.
"""
