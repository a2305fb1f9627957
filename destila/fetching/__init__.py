"""Published data sets from where they are published: downloads that go on and are checked."""
