"""``python -m exporter``."""

from exporter.commands.cli import entry

if __name__ == "__main__":
    entry()
