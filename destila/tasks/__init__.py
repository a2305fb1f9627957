"""Task families: what a unit is, how text becomes features, and which logits meet which labels."""
