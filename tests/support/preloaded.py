"""The libraries that nearly every command loads, loaded once in the process that test commands are forked from.

TensorFlow is only imported, not started: its threads would not survive the fork.
"""

import contextlib
import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
    import datasets  # noqa: F401
    import h5py  # noqa: F401
    import keras  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import PIL.Image
    import tensorflow  # noqa: F401

    import amaxds.analysis.report
    import amaxds.api
    import amaxds.builds.build
    import amaxds.checks.audit
    import amaxds.checks.validate
    import amaxds.cli.main
    import amaxds.hubs.locate  # noqa: F401
    from amaxds.dataset import card
    from support import commands  # noqa: F401

    # What is made at first use.
    card.template()
    PIL.Image.preinit()

# Or else the first full collection in each process goes through all of these libraries, and copies their pages: 0.35 s.
gc.collect()
gc.freeze()
