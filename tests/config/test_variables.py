from __future__ import annotations

import pytest

from exporter.config import variables


def test_each_setting_has_its_variable() -> None:
    given, problems, _ = variables.read(
        {"VMGUEST_POLL_INTERVAL": "1s", "PATH": "/bin", "VMGUEST_WEB_ENABLED": "false"}
    )
    assert [(each.option.name, each.raw, each.where) for each in given] == [
        ("poll.interval", "1s", "VMGUEST_POLL_INTERVAL"),
        ("web.enabled", "false", "VMGUEST_WEB_ENABLED"),
    ]
    assert problems == []


def test_an_empty_variable_is_not_set() -> None:
    assert variables.read({"VMGUEST_OTLP_ENDPOINT": ""}) == ([], [], set())


def test_an_unknown_variable_with_our_prefix_is_a_mistake() -> None:
    assert variables.read({"VMGUEST_POL_INTERVAL": "1s", "VMGUEST_XYZZY": ""})[1] == [
        "VMGUEST_POL_INTERVAL: no such setting; did you mean VMGUEST_POLL_INTERVAL?",
        "VMGUEST_XYZZY: no such setting",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "VMGUEST_EXPORTER_SERVICE_HOST",
        "VMGUEST_EXPORTER_SERVICE_PORT",
        "VMGUEST_EXPORTER_SERVICE_PORT_METRICS",
        "VMGUEST_EXPORTER_PORT",
        "VMGUEST_EXPORTER_PORT_10052_TCP",
        "VMGUEST_EXPORTER_PORT_10052_TCP_ADDR",
        "VMGUEST_PORT_10052_UDP_PROTO",
    ],
)
def test_what_kubernetes_puts_into_every_pod_is_not_meant_for_us(name: str) -> None:
    assert variables.read({name: "tcp://10.0.0.1:10052"}) == ([], [], set())
