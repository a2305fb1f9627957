"""An exported model in a browser: a page, a module, and the libraries that they need."""
