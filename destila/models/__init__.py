"""One encoder for BERT, RoBERTa, ALBERT and DistilBERT: its shapes, weights, heads and cost.

`architecture`, `presets`, `macs` and `names` are plain Python: a list of models needs no torch.
"""
