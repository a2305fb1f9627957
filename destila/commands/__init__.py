"""One file per verb of the command line: `Config` and `run(config) -> result`."""
