"""Executors: where the tasks of a build run, on threads of this process or on a Ray cluster."""
