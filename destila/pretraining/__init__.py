"""Raw text to an encoder: masked language modelling and task-agnostic distillation."""
