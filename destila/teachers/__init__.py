"""The teacher's side of distillation: `teacher.py` loads it, `cache.py` keeps its logits."""
