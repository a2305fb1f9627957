"""The wall: files of strangers are read here, with limits, before anything else looks at them."""
