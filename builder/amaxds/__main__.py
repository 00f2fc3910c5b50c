"""The command `amaxds`, also as `python -m amaxds`."""

import sys


def main() -> None:
    """Run the command. Interrupted before it has begun to, it ends without a word, as there is nothing to go on with."""
    try:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        sys.exit(130)
    from amaxds.cli import main as command

    command.main()


if __name__ == "__main__":
    main()
