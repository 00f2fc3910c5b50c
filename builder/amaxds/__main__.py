"""The command `amaxds`, also as `python -m amaxds`.

Interrupted before it has begun, it ends without a word, as there is nothing to go on with.
"""

try:
    import os
    import sys

    # `python -m` puts the current folder into the path, and so does an empty part of PYTHONPATH. What lies there is not run,
    # unless it is this very package.
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]
    if "" in os.environ.get("PYTHONPATH", "no").split(os.pathsep):
        sys.path[:] = [each for each in sys.path if each == own or each not in ("", os.path.abspath(""))]

    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
except KeyboardInterrupt:  # It came before that was done: end as it would have been ended.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command."""
    from amaxds.compute.machine import open_standard_streams

    open_standard_streams()
    from amaxds.cli import main as command

    command.main()


if __name__ == "__main__":
    main()
