"""What the tool does, as functions: each takes names and options as a user gives them, and does the whole of it.

`amaxds` has all of them. Nothing heavy is imported before it is needed.
"""

from amaxds.api.check import audit, diff, validate
from amaxds.api.look import Classification, WrittenReport, classify, report
from amaxds.api.make import build, describe, open_dataset, plan, synthesise
from amaxds.api.share import bundle, publish

__all__ = [
    "Classification",
    "WrittenReport",
    "audit",
    "build",
    "bundle",
    "classify",
    "describe",
    "diff",
    "open_dataset",
    "plan",
    "publish",
    "report",
    "synthesise",
    "validate",
]
