"""Rules of deploy/prometheus: names, annotations, runbook, and a unit test for each."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import promql, runbook

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = [FOLDER / "rules" / name for name in ("vmguest.yml", "vmguest-insight.yml")]
GROUPS: list[dict[str, Any]] = [
    group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]
]
COMPAT = yaml.safe_load((FOLDER / "rules" / "vmguest-compat.yml").read_text())
TESTS: list[dict[str, Any]] = [
    {"evaluation_interval": file["evaluation_interval"], **test}
    for file in (yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "tests").glob("*.test.yml")))
    for test in file["tests"]
]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
MAPPED: list[dict[str, str]] = [rule for group in COMPAT["groups"] for rule in group["rules"]]
ALERT_TESTS = {test["name"].split(":")[0]: test for test in TESTS if test["name"].startswith("VMGuest")}

# windows_exporter's vmware collector (internal/collector/vmware, docs/collector.vmware.md) in its releases, and
# cloud104's vmguest-prometheus-exporter.py.
WINDOWS_EXPORTER = re.findall(
    r"\w+",
    """
    cpu_limit_mhz cpu_reservation_mhz cpu_shares cpu_stolen_seconds_total cpu_time_seconds_total
    cpu_effective_vm_speed_mhz_total cpu_effective_vm_speed_mhz effective_vm_speed_mhz host_processor_speed_mhz
    mem_active_bytes mem_ballooned_bytes mem_limit_bytes mem_mapped_bytes mem_overhead_bytes
    mem_reservation_bytes mem_shared_bytes mem_shared_saved_bytes mem_shares mem_swapped_bytes
    mem_target_size_bytes mem_used_bytes
""",
)
CLOUD104 = re.findall(
    r"\w+",
    """
    vm_processor_time vm_processor_stolen_time vm_processor_effective_speed host_processor_speed
    vm_processor_limit vm_processor_reservation vm_processor_shares vm_memory_active vm_ballooned
    vm_memory_shared vm_memory_shared_saved vm_memory_swapped vm_memory_target_size vm_memory_used
    vm_memory_limit vm_memory_reservation vm_memory_shares vm_memory_mapped
""",
)


@pytest.fixture(scope="session")
def promtool(require_program: Callable[[str, str], str]) -> str:
    return require_program("promtool", "apt-get install prometheus")


@pytest.fixture(params=[2, 3], ids=["Prometheus 2", "Prometheus 3"])
def each_promtool(
    request: pytest.FixtureRequest, promtool: str, require: Callable[[str, str | None, str], str]
) -> str:
    """A range has one sample less from 3 on, and what is five minutes old is no longer seen."""
    if request.param == 2:
        return promtool
    built = ROOT / ".cache" / "receivers" / "promtool3"
    return require("promtool 3", str(built) if built.exists() else None, "make receivers (needs Go)")


def run(*command: str | Path) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.real
def test_promtool_accepts_rules_and_configuration(each_promtool: str) -> None:
    # 2.42 prints FAILED for a lint finding and exits with 0 unless told otherwise.
    output = run(each_promtool, "check", "rules", "--lint-fatal", *(FOLDER / "rules").glob("*.yml"))
    assert "FAILED" not in output
    run(each_promtool, "check", "config", FOLDER / "prometheus.yml")


@pytest.mark.real
@pytest.mark.parametrize("path", sorted((FOLDER / "tests").glob("*.test.yml")), ids=lambda path: path.name)
def test_unit_tests_of_rules_pass(each_promtool: str, path: Path) -> None:
    run(each_promtool, "test", "rules", path)


def test_rules_use_only_metrics_that_exist() -> None:
    known = promql.published() | promql.SIMULATED_DISK | RECORDED | {"up", "probe_success"}
    for group in GROUPS:
        for rule in group["rules"]:
            assert promql.metrics(rule["expr"]) <= known, rule


def test_recorded_names_are_not_published_names() -> None:
    assert all(name.startswith("vmguest:") for name in RECORDED)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_alert_tells_what_an_operator_needs(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "threshold", "runbook_url"}
    assert "{{ or $labels.host_name $labels.instance }}" in notes["summary"]
    assert not any("{{ $labels.instance }}" in note for note in notes.values()), "by OTLP that is a UUID"
    assert "$value" in notes["description"]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert notes["runbook_url"] == f"RUNBOOK.md#{rule['alert'].lower()}"


def test_no_text_claims_to_know_that_it_was_a_vmotion() -> None:
    for rule in ALERTS:
        assert "vmotion" not in rule["alert"].lower()
        assert "vmotion" not in rule["annotations"]["summary"].lower()


def test_thresholds_from_ready_are_labelled_as_borrowed() -> None:
    for rule in ALERTS:
        if rule["alert"] == "VMGuestCPUStarved":
            assert "Borrowed from the CPU ready scale" in rule["annotations"]["threshold"]


def test_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    sections = re.split(r"^## ", (FOLDER / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]
    bodies = {section.splitlines()[0]: section for section in sections}
    assert list(bodies) == list(dict.fromkeys(rule["alert"] for rule in ALERTS))
    for alert, body in bodies.items():
        assert re.search(r"\bask\b", body, re.IGNORECASE), f"{alert}: what to ask the vSphere administrator"


@pytest.mark.real
def test_each_query_of_the_runbook_parses_as_it_is_pasted(each_promtool: str, tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```promql\n(.*?)^```$", (FOLDER / "RUNBOOK.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == len(ALERTS)
    rules = [{"record": f"pasted:{number}", "expr": block} for number, block in enumerate(blocks)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "pasted", "rules": rules}]}))
    run(each_promtool, "check", "rules", tmp_path / "rules.yml")


def test_the_runbook_shows_what_each_alert_asks() -> None:
    text = (FOLDER / "RUNBOOK.md").read_text(encoding="utf-8")
    assert runbook.with_queries(text).rstrip("\n") + "\n" == text, "make dashboards"
    for rule in ALERTS:
        assert rule["expr"].strip() in text


def test_one_setting_makes_the_links_absolute() -> None:
    for path in (FOLDER / "rules").glob("*.yml"):
        made = yaml.safe_load(runbook.linked(path.read_text(), "https://wiki.example/vmguest/"))
        for group in made["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    url = f"https://wiki.example/vmguest/RUNBOOK.md#{rule['alert'].lower()}"
                    assert rule["annotations"]["runbook_url"] == url


def test_every_alert_has_a_unit_test_and_every_unit_test_an_alert() -> None:
    assert set(ALERT_TESTS) == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_unit_test_shows_firing_quiet_resolved_and_session_change(rule: dict[str, Any]) -> None:
    test = ALERT_TESTS[rule["alert"]]
    instances = {
        name for row in test["input_series"] for name in re.findall(r'instance="([^"]+)"', row["series"])
    }
    assert {"hurt", "well", "moved", "calm"} <= instances
    severity = rule["labels"]["severity"]
    firing = [
        {
            re.findall(r'instance="([^"]+)"', sample["labels"])[0]
            for sample in step["exp_samples"]
            if f'severity="{severity}"' in sample["labels"]
        }
        for step in test["promql_expr_test"]
    ]
    everyone = set().union(*firing)
    assert "hurt" in everyone, "it fires"
    assert "hurt" not in firing[-1], "it resolves"
    assert not everyone & {"well", "calm"}, "it stays quiet, also over a session change"


EXPECTED_IN_DESCRIPTION = {
    "VMGuestCPUStarved": "12%",
    "VMGuestCPULimitThrottling": "25%",
    "VMGuestCPULimitBinding": "75%",
    "VMGuestNUMARemote": "70%",
    "VMGuestMemoryLimitBinding": "50%",
    "VMGuestBallooned": "10%",
    "VMGuestBalloonGrowing": "95.37MiB",
    "VMGuestBalloonNearMaximum": "95%",
    "VMGuestHypervisorSwapActive": "1.907MiB/s",
    "VMGuestMemoryContention": "2.5%",
    "VMGuestHypervisorSwapped": "1%",
    "VMGuestDiskSlow": "40ms",
    "VMGuestExporterDown": "up has been 0",
    "VMGuestExporterSilent": "vmguest_up was 1 then",
    "VMGuestStatisticsDown": "vmguest_up is 0",
    "VMGuestStatisticsPartial": "1 fewer",
    "VMGuestDeprecatedCounterGone": "5B",
    "VMGuestPollErrors": "50%",
    "VMGuestExtendedDown": "is 0",
    "VMGuestSessionChurn": "5 session changes",
    "VMGuestLibraryCrashing": "about 5",
    "VMGuestOTLPBacklog": "21 exports",
    "VMGuestConnectionsRefused": "About 60",
    "VMGuestHAHeartbeatNotGreen": '"red"} is 1',
    "VMGuestHAHeartbeatLate": "0 heartbeats",
    "VMGuestHAUnhealthy": "is 0",
    "VMGuestHAExporterDown": "up is 0",
    "VMGuestHAExporterSilent": "1970-01-01 00:10:00",
    "VMGuestHAReset": "1m 30s after",
    "VMGuestHAResetRequested": "is 1",
    "VMGuestHANotEnabled": "is 0",
    "VMGuestHAMaintenanceForgotten": "is +Inf",
    "VMGuestCPUBursts": "about 5 samples",
    "VMGuestCPULostUndetermined": "8%",
    "VMGuestMemoryLimitReclaiming": "reclaiming is 1",
    "VMGuestMemoryMayRunOut": "2GiB more",
    "VMGuestBalloonStuck": "wanted 2GiB",
    "VMGuestSettingChanged": "it was +Inf at most",
}


@pytest.mark.real
@pytest.mark.parametrize("alert", EXPECTED_IN_DESCRIPTION)
def test_description_carries_the_value(promtool: str, tmp_path: Path, alert: str) -> None:
    """promtool is told to expect no alert, and then prints the ones it got with their texts."""
    test = ALERT_TESTS[alert]
    first = next(step for step in test["promql_expr_test"] if "hurt" in str(step["exp_samples"]))
    surprised = {"eval_time": first["eval_time"], "alertname": alert, "exp_alerts": []}
    file = tmp_path / "surprised.test.yml"
    file.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(path) for path in RULE_FILES],
                "evaluation_interval": test["evaluation_interval"],
                "tests": [
                    {
                        "interval": test["interval"],
                        "input_series": test["input_series"],
                        "alert_rule_test": [surprised],
                    }
                ],
            }
        )
    )
    command = [promtool, "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    output = done.stdout + done.stderr
    hurt = next(part for part in output.split("Labels:") if 'instance="hurt"' in part)
    found = re.search(r'description="((?:[^"\\]|\\.)*)"', hurt)
    assert found, output
    text = found[1].replace('\\"', '"')
    assert EXPECTED_IN_DESCRIPTION[alert] in text
    assert "<no value>" not in text


def test_compatibility_rules_record_our_names_only() -> None:
    known = promql.published() | RECORDED
    for rule in MAPPED:
        assert rule["record"] in known, rule


def test_every_foreign_name_is_mapped_and_tested() -> None:
    foreign = {f"windows_vmware_{name}" for name in WINDOWS_EXPORTER} | {
        f"vmware_{name}" for name in CLOUD104
    }
    used = set().union(*(promql.metrics(rule["expr"]) for rule in MAPPED))
    assert foreign <= used
    tested = {row["series"].split("{")[0] for test in TESTS for row in test["input_series"]}
    assert used <= tested | {"vmguest_vcpus"}


def test_every_mapping_has_an_expected_value() -> None:
    steps = [step for test in TESTS for step in test["promql_expr_test"] if "ALERTS" not in step["expr"]]
    asked = set().union(*(promql.metrics(step["expr"]) for step in steps if step["exp_samples"]))
    assert {rule["record"] for rule in MAPPED} <= asked
    assert asked >= RECORDED


def test_scrape_example_has_the_port_and_the_job_that_the_alert_looks_for() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    (down,) = (rule for rule in ALERTS if rule["alert"] == "VMGuestExporterDown")
    (pattern,) = re.findall(r'job=~"([^"]+)"', down["expr"])
    assert re.fullmatch(pattern, job["job_name"])
    for group in yaml.safe_load((FOLDER / "targets" / "vmguest.yml").read_text()):
        assert all(target.endswith(":10052") for target in group["targets"])
