"""The parser of a command's own arguments: as argparse's, but all that is wrong is told, and not the first alone."""

from __future__ import annotations

import re
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, HelpFormatter
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from exporter.config.given import did_you_mean
from exporter.config.hiding import flag_of, is_flag, is_known, no_such_flag


class HelpfulParser(ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """As argparse does, which passes over a full disk, though."""
        print(self.format_help(), end="", file=file)


class Mistakes:
    """Of a command line: the first parser that found one, whose usage helps, and the words for all."""

    def __init__(self) -> None:
        self.where: ArgumentParser | None = None
        self.words: list[str] = []
        self.unknown: set[str] = set()
        """Flags that don't exist."""

    def add(self, where: ArgumentParser, words: str) -> None:
        self.where = self.where or where
        self.words.append(words)

    def print(self) -> None:
        """As argparse does."""
        if self.where is not None:
            self.where.print_usage(sys.stderr)
            for each in self.words:
                print(f"{self.where.prog}: error: {each}", file=sys.stderr)


class OwnParser(HelpfulParser):
    """Of a command, or of one of its own commands. Takes no abbreviation, says which flag or word was meant, and goes on
    after a mistake: all are in ``mistakes``.

    ``settings``: the flags that were taken out before and may have been meant too.
    """

    def __init__(
        self,
        *args: Any,
        settings: Sequence[str] = (),
        mistakes: Mistakes | None = None,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._words: set[str] = set()
        self._commands: Any = None
        self._unsure = False
        self.mistakes = Mistakes() if mistakes is None else mistakes
        super().__init__(*args, **kwargs)

    def add_subparsers(self, **kwargs: Any) -> Any:
        own = partial(OwnParser, settings=self._settings, mistakes=self.mistakes)
        self._commands = super().add_subparsers(parser_class=own, **kwargs)  # type: ignore[call-overload]
        return self._commands

    def add_argument(self, *names: Any, **kwargs: Any) -> Any:
        """As argparse does; a value that can't be used is noted, and None."""
        action = super().add_argument(*names, **kwargs)
        if action.choices is not None and not action.option_strings:
            self._words |= {*map(str, action.choices)}
        if action.type is not None or action.choices is not None:
            self._note_wrong_values(action)
        return action

    def _note_wrong_values(self, action: Action) -> None:
        convert: Any = action.type or str
        choices = action.choices
        name = "/".join(action.option_strings) or action.metavar or action.dest
        if choices is not None and action.metavar is None:
            action.metavar = f"{{{','.join(map(str, choices))}}}"
        action.choices = None

        def read(text: str) -> Any:
            try:
                value = convert(text)
            except ArgumentTypeError as error:
                why = str(error)
            except (TypeError, ValueError):
                why = f"invalid {getattr(convert, '__name__', 'value')} value: {text!r}"
            else:
                if choices is None or value in choices:
                    return value
                words = [*map(str, choices)]
                why = f"invalid choice: {text!r} (choose from {', '.join(words)}){did_you_mean(text, words)}"
            self._mistake(f"argument {name}: {why}")
            return None

        action.type = read

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; flags that aren't there are taken out before, each with what seems to be its value."""
        words = self._without_end(list(args))
        if "--help" not in words and "-h" not in words:
            words = self._without_unknown(words)
        return super().parse_known_args(words, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; words too many are noted, and the others are there all the same."""
        found, more = self.parse_known_args(args, namespace)
        if words := [word for word in more if word != "--"]:
            self._mistake(f"unrecognized arguments: {' '.join(word or repr(word) for word in words)}")
        return found

    def _without_end(self, words: list[str]) -> list[str]:
        """A ``--`` before a command ends nothing: the command has flags of its own."""
        if self._commands is None:
            return words
        end = next((place for place, word in enumerate(words) if word in self._commands.choices), len(words))
        return [*(word for word in words[:end] if word != "--"), *words[end:]]

    def _without_unknown(self, words: list[str]) -> list[str]:
        own = self._own_flags()
        kept: list[str] = []
        rest = iter(words)
        loose = False
        for word in rest:
            if word == "--" or (self._commands is not None and word in self._commands.choices):
                return [*kept, word, *rest]
            if is_flag(word) and not is_known(word, [*own, *self._settings]):
                self.mistakes.unknown.add(flag_of(word))
                self._mistake(no_such_flag(word, (*own, *self._settings)))
                loose = "=" not in word
            elif loose and not word.startswith("-"):
                self._unsure, loose = True, False
            elif self._commands is not None and not word.startswith("-"):
                # No command that there is. What follows it may be meant for any.
                kept.append(word)
                own, loose = self.flags(), False
            else:
                loose = False
                kept.append(word)
        return kept

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            message += did_you_mean(found[1], re.findall(r"[\w.-]+", found[2]))
        message = re.sub(r"ignored explicit argument .*", "it takes no value", message)
        # What was taken for the value of an unknown flag may be what is missing.
        if not (self._unsure and "arguments are required" in message):
            self._mistake(message)
        raise SystemExit(2)

    def _mistake(self, message: str) -> None:
        self.mistakes.add(self, message)

    def flags(self) -> list[str]:
        """Those of its commands too."""
        below = [] if self._commands is None else self._commands.choices.values()
        return [*self._own_flags(), *(flag for each in below for flag in each.flags())]

    def words(self) -> set[str]:
        """Words that are no flags, and mean something: commands, and what they can be told."""
        below = {} if self._commands is None else self._commands.choices
        return self._words.union(below, *(each.words() for each in below.values()))

    def _own_flags(self) -> list[str]:
        """As the whole help has them, at the beginning of a line: ``-o FILE, --output FILE``, two spaces, what it means."""
        short, self.formatter_class = self.formatter_class, HelpFormatter
        columns = [line.strip().split("  ")[0] for line in self.format_help().splitlines()]
        self.formatter_class = short
        return [
            flag
            for each in columns
            if each.startswith("-")
            for flag in re.findall(r"(?<!\S)(?:--[\w.-]+|-\w(?![\w-]))", each)
        ]
