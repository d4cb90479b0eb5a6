from __future__ import annotations

import random
from argparse import ArgumentParser

import pytest

from exporter.config import OPTIONS
from exporter.config.hiding import hide_secrets
from exporter.config.values import Switch

KNOWN = ["--otlp.headers", "--otlp.endpoint", "--log.level", "--ha.enabled", "--output", "-o", "-w", "-h", "--help"]  # fmt: skip
COMMANDS = ["serve", "show"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        # What is known is as it was, but for the values of secret settings.
        ("--log.level=debug show metrics", "--log.level=debug show metrics"),
        ("--otlp.headers=a=SECRET show", "--otlp.headers=<hidden> show"),
        ("--otlp.headers a=SECRET", "--otlp.headers <hidden>"),
        ("--otlp.endpoint=http://u:SECRET@h", "--otlp.endpoint=<hidden>"),
        ("--output FILE -oFILE -w stolen=5 -wstolen=5", "--output FILE -oFILE -w stolen=5 -wstolen=5"),
        # A flag that is none: its name.
        ("--otlp.header=a=SECRET", "--otlp.header=<hidden>"),
        ("--otlp-headers SECRET", "--otlp-headers <hidden>"),
        ("-otlp.headers=SECRET", "-otlp.headers=<hidden>"),
        ("-oh -otlp.hdrs=SECRET", "-oh -otlp.hdrs=<hidden>"),
        ("--otlp.headers:SECRET", "--otlp.headers:<hidden>"),
        ("--=SECRET", "--=<hidden>"),
        ("-pSECRET", "-p<hidden>"),
        ("--help=SECRET -hSECRET", "--help=<hidden> -h<hidden>"),
        # What follows it, or a secret, up to a flag that there is.
        ("--otlp.header=a=Bearer SECRET SECRET show SECRET", "--otlp.header=<hidden> <hidden> <hidden> show <hidden>"),
        ("--otlp.headers=a=Bearer SECRET --log.level debug words", "--otlp.headers=<hidden> <hidden> --log.level debug words"),
        ("--otlp.header a=Bearer --otlp.endpont=SECRET", "--otlp.header <hidden> --otlp.endpont=<hidden>"),
        ("--otlp.headers=a=Bearer -SECRET --SECRET -5SECRET", "--otlp.headers=<hidden> -<hidden> -<hidden> -<hidden>"),
        ("--otlp.headers -SECRET", "--otlp.headers -<hidden>"),
        ("--sorce=x -x", "--sorce=<hidden> -x"),
        # Behind two dashes too.
        ("show -- --otlp.headers=SECRET", "show -- --otlp.headers=<hidden>"),
        # Settings without their dashes, and with those of a word processor.
        ("otlp.headers=a=Bearer SECRET", "otlp.headers=<hidden> <hidden>"),
        ("--ha.enabled VMGUEST_OTLP_HEADERS=SECRET", "--ha.enabled VMGUEST_OTLP_HEADERS=<hidden>"),
        ("—otlp.headers SECRET", "—otlp.headers <hidden>"),
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_hidden(words: str, told: str) -> None:
    assert hide_secrets(words.split(), KNOWN, COMMANDS).words == told.split()


def test_a_flag_and_its_value_as_one_word() -> None:
    assert hide_secrets(["--otlp.headers a b"], KNOWN, COMMANDS).words == ["--otlp.headers <hidden> <hidden>"]


def test_argparse_takes_the_words_as_before() -> None:
    """Whatever stands among them: a flag is still one, a value too."""
    words = [
        "--otlp.headers", "--otlp.headers=a", "--otlp.header", "--x y", "--x=a y", "-a y", "-S", "-Sy", "-S y", "-5", "-5x", "-.5", "-",
        "show", "a=b", "--log.level", "debug", "--ha.enabled", "-h", "-otlp.headers=a", "-o", "-ofile", "—x", "", "--log.level=debug",
    ]  # fmt: skip
    parser = ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    parser.add_argument("-h", "--help", action="store_true")
    for row in OPTIONS:
        parser.add_argument(row.flag, action="store_true" if isinstance(row.kind, Switch) else "store")
    chance = random.Random(1)

    def shape(argv: list[str]) -> tuple[int, set[str]] | str:
        try:
            args, left = parser.parse_known_args(argv)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        return len(left), {name for name, value in vars(args).items() if value}

    for _ in range(300):
        argv = chance.choices(words, k=chance.randint(1, 6))
        told = hide_secrets(argv, KNOWN, COMMANDS).words
        assert shape(told) == shape(argv), (argv, told)
