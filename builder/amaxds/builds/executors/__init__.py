"""Where the units of a build run: threads of this process, or a Ray cluster."""
