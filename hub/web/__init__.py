"""The pages: the unified view in a browser, read-only, for this machine alone."""
