"""New texts made from the labelled ones, which a teacher labels like unlabelled ones."""
