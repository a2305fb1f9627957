"""Tables drawn from saved records, with intervals and the published numbers beside; no torch."""
