"""The fleet as a part of the program."""

from __future__ import annotations

import json
import logging
import resource
import sys
import threading
import urllib.request

import pytest

from exporter.config import Settings, load
from exporter.config.flags import read
from exporter.fleet.start import Wanted, check, serving
from exporter.simulator.fleet.operations import CALM


def settings(*words: str) -> Settings:
    return load(read(words).given, {})


def test_what_holds_for_the_exporters_of_a_fleet_is_taken() -> None:
    given = settings(
        "--web.listen-address=127.0.0.1:0", "--no-extended", "--no-insight.histograms", "--expose-identity",
        "--deprecated-metrics", "--otlp.endpoint=http://127.0.0.1:9", "--otlp.interval=30s", "--log.level=warn",
    )  # fmt: skip
    assert check(given, {}, share=0.5) == []


def test_a_receiver_that_can_not_be_used_is_told() -> None:
    (problem,) = check(
        Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    )  # fmt: skip
    assert "ftp" in problem


def of_the_process() -> tuple[object, ...]:
    levels = [
        logging.getLogger(f"exporter.{name}").level for name in ("poller", "extended", "session", "insight")
    ]
    return (*levels, sys.getswitchinterval(), resource.getrlimit(resource.RLIMIT_NOFILE))


@pytest.mark.parametrize(("share", "count"), [(None, 1), (0.1, 1), (0.5, 2), (1, 5), (0, 0)])
def test_one_at_least_pushes_where_a_receiver_is_named(share: float | None, count: int) -> None:
    given = settings("--web.listen-address=127.0.0.1:0", "--otlp.endpoint=http://127.0.0.1:9")
    with (
        serving(given, {}, Wanted(5, seed=4, plan=CALM, share=share)) as server,
        urllib.request.urlopen(f"{server.urls[0]}sd", timeout=20) as answer,
    ):
        assert len(json.load(answer)) == 5 - count


def test_served_by_few_threads_with_a_share_that_pushes() -> None:
    given = settings("--web.listen-address=127.0.0.1:0", "--otlp.endpoint=http://127.0.0.1:9")
    before = set(threading.enumerate())
    process = of_the_process()
    with serving(given, {}, Wanted(20, seed=4, plan=CALM, share=0.25)) as server:
        names = {each.name for each in set(threading.enumerate()) - before}
        # One export at a time has a thread of its own.
        assert of_the_process() != process
        assert {"web", "fleet", "fleet-push"} <= names <= {"web", "fleet", "fleet-push", "otlp-export"}
        with urllib.request.urlopen(f"{server.urls[0]}sd", timeout=20) as answer:
            assert len(json.load(answer)) == 15
        with urllib.request.urlopen(f"{server.urls[0]}vm/web-00001/metrics", timeout=20) as answer:
            page = answer.read()
        assert b"vmguest_up 1.0" in page
        assert b"vmguest_web_connections_refused_total" in page
    left = {each.name for each in set(threading.enumerate()) - before}
    assert not left & {"web", "fleet", "fleet-push"}
    assert of_the_process() == process
