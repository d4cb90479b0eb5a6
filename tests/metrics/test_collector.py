"""From a published state to families: names, base units, what is withheld and what stays."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import __version__, catalogue
from exporter.catalogue import STATISTICS, Kind, Wire
from exporter.clock import Life, Lives
from exporter.errors import POLL_ERROR_KINDS
from exporter.metrics.collector import PYTHON, Options, collect
from exporter.metrics.families import Family
from exporter.outputs.prometheus import as_metric
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot, SourceInfo, Value

NOW = 1_700_000_060.0
READ = 1_700_000_059.0
START = 1_700_000_000.0
MONOTONIC = 500.0
INF = float("inf")

PAGE: tuple[tuple[str, Value, str, float], ...] = (
    ("cpu_reservation", 500, "vmguest_cpu_reservation_hertz", 500e6),
    ("cpu_limit", 2400, "vmguest_cpu_limit_hertz", 2.4e9),
    ("cpu_shares", 4000, "vmguest_cpu_shares", 4000.0),
    ("cpu_used", 123_456, "vmguest_cpu_used_seconds_total", 123.456),
    ("host_cpu_frequency", 2594, "vmguest_host_cpu_frequency_hertz", 2_594_000_000.0),
    ("memory_reservation", 1, "vmguest_memory_reservation_bytes", 1_048_576.0),
    ("memory_limit", 8192, "vmguest_memory_limit_bytes", 8_589_934_592.0),
    ("memory_shares", 2**40, "vmguest_memory_shares", 1_099_511_627_776.0),
    ("memory_mapped", 2, "vmguest_memory_mapped_bytes", 2_097_152.0),
    ("memory_active", 3, "vmguest_memory_active_bytes", 3_145_728.0),
    ("memory_overhead", 4, "vmguest_memory_overhead_bytes", 4_194_304.0),
    ("memory_ballooned", 5, "vmguest_memory_ballooned_bytes", 5_242_880.0),
    ("memory_swapped", 6, "vmguest_memory_swapped_bytes", 6_291_456.0),
    ("memory_shared", 7, "vmguest_memory_shared_bytes", 7_340_032.0),
    ("memory_shared_saved", 8, "vmguest_memory_shared_saved_bytes", 8_388_608.0),
    ("memory_used", 9, "vmguest_memory_used_bytes", 9_437_184.0),
    ("elapsed", 59_000, "vmguest_elapsed_seconds_total", 59.0),
    ("cpu_stolen", 1, "vmguest_cpu_stolen_seconds_total", 0.001),
    ("memory_target", 10, "vmguest_memory_target_bytes", 10_485_760.0),
    ("host_cpu_cores", 32, "vmguest_host_cpu_cores", 32.0),
    (
        "host_cpu_used",
        2**53,
        "vmguest_host_cpu_used_seconds_total{session_id=0x4ec2f01ae4a0fe2}",
        9_007_199_254_740.992,
    ),
    ("host_memory_swapped", 11, "vmguest_host_memory_swapped_bytes", 11_534_336.0),
    ("host_memory_shared", 12, "vmguest_host_memory_shared_bytes", 12_582_912.0),
    ("host_memory_used", 13, "vmguest_host_memory_used_bytes", 13_631_488.0),
    ("host_memory_physical", 262_144, "vmguest_host_memory_physical_bytes", 274_877_906_944.0),
    ("host_memory_physical_free", 14, "vmguest_host_memory_physical_free_bytes", 14_680_064.0),
    ("host_memory_kernel_overhead", 15, "vmguest_host_memory_kernel_overhead_bytes", 15_728_640.0),
    ("host_memory_mapped", 16, "vmguest_host_memory_mapped_bytes", 16_777_216.0),
    ("host_memory_unmapped", 17, "vmguest_host_memory_unmapped_bytes", 17_825_792.0),
    ("memory_zipped", 18, "vmguest_memory_zipped_bytes", 18_874_368.0),
    ("memory_zip_saved", 19, "vmguest_memory_zip_saved_bytes", 19_922_944.0),
    ("memory_host_cache_swapped", 20, "vmguest_memory_host_cache_swapped_bytes", 20_971_520.0),
    ("memory_swap_target", 21, "vmguest_memory_swap_target_bytes", 22_020_096.0),
    ("memory_balloon_target", 22, "vmguest_memory_balloon_target_bytes", 23_068_672.0),
    ("memory_balloon_max", 23, "vmguest_memory_balloon_max_bytes", 24_117_248.0),
)
"""Key, what the host sends, the sample and its value: written down by hand from the public names."""

VALUES: dict[str, Value] = {key: value for key, value, _, _ in PAGE}
EVERYTHING = Options(expose_identity=True, deprecated_metrics=True)


def state_with(values: dict[str, Value] | None = None, **changes: object) -> PollState:
    state = PollState(
        interval=5.0,
        snapshot=Snapshot(0x4EC2F01AE4A0FE2, 3, VALUES if values is None else values),
        read_time=READ,
        read_monotonic=MONOTONIC,
        lives=Lives(Life(1, START)),
        polls=12,
        source=SourceInfo("guestrpc", "vsock", "3"),
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def named(families: list[Family]) -> dict[str, Family]:
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family stands on the page once"
    return {family.name: family for family in families}


def lines(families: list[Family]) -> dict[str, float]:
    """Sample name with labels in braces to value."""
    found = {}
    for sample in (sample for family in families for sample in as_metric(family).samples):
        labels = ",".join(f"{name}={text}" for name, text in sample.labels.items())
        found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def page(state: PollState, age: float = 0.0, options: Options = EVERYTHING) -> dict[str, float]:
    return lines(collect(state, MONOTONIC + age, options, Guest(4, 2**33)))


class TestBasicStatistics:
    @pytest.mark.parametrize(("key", "value", "name", "expected"), PAGE, ids=[row[0] for row in PAGE])
    def test_each_is_published_in_base_units(
        self, key: str, value: Value, name: str, expected: float
    ) -> None:
        assert page(state_with({key: value}))[name] == expected

    def test_the_table_above_leaves_no_number_of_open_vm_tools_13_out(self) -> None:
        """What came later shows on the golden page."""
        numbers = {row.key for row in STATISTICS if row.id <= 38 and row.wire in (Wire.U32, Wire.U64)}
        assert numbers == set(VALUES)

    def test_what_the_host_does_not_give_has_no_sample(self) -> None:
        names = set(page(state_with({"cpu_used": 1})))
        assert {name for _, _, name, _ in PAGE} & names == {"vmguest_cpu_used_seconds_total"}

    def test_zero_is_a_value(self) -> None:
        assert page(state_with({"memory_swapped": 0}))["vmguest_memory_swapped_bytes"] == 0.0

    @pytest.mark.parametrize(
        ("key", "raw", "name"),
        [
            ("cpu_limit", 0xFFFFFFFF, "vmguest_cpu_limit_hertz"),
            ("memory_limit", 0xFFFFFFFF, "vmguest_memory_limit_bytes"),
            ("memory_limit", 0x1FC000, "vmguest_memory_limit_bytes"),
        ],
    )
    def test_unlimited_is_infinite(self, key: str, raw: int, name: str) -> None:
        assert page(state_with({key: raw}))[name] == INF

    def test_only_limits_can_be_infinite(self) -> None:
        assert page(state_with({"cpu_shares": 0x1FC000}))["vmguest_cpu_shares"] == 2080768.0

    @given(raw=st.integers(0, 2**64 - 1))
    def test_milliseconds_of_any_size_are_rounded_once(self, raw: int) -> None:
        assert page(state_with({"elapsed": raw}))["vmguest_elapsed_seconds_total"] == raw / 1000

    def test_counters_begin_with_the_hosts_session(self) -> None:
        families = named(collect(state_with(), MONOTONIC))
        counters = [row.metric for row in STATISTICS if row.metric.kind is Kind.COUNTER]
        assert {"elapsed", "cpu.used", "cpu.stolen"} < {metric.name for metric in counters}
        for metric in counters:
            (point,) = families[metric.family].points
            assert point.created == (None if metric.of_host else START)

    def test_where_the_start_is_unknown_nothing_is_said_of_it(self) -> None:
        found = page(state_with(lives=Lives(Life(1, None))))
        assert "vmguest_cpu_used_seconds_total" in found
        assert not [name for name in found if "created" in name or "session_start" in name]

    def test_a_counter_that_fell_alone_has_a_start_of_its_own(self) -> None:
        lives = Lives(Life(1, START), {"cpu_used": Life(2, START + 20, alone=True)})
        families = named(collect(state_with(lives=lives), MONOTONIC))
        starts = {
            name: families[f"vmguest_{name}_seconds"].points[0].created for name in ("cpu_used", "cpu_stolen")
        }
        assert starts == {"cpu_used": START + 20, "cpu_stolen": START}

    def test_what_counts_on_the_host_has_the_session_as_label_and_no_start(self) -> None:
        (point,) = named(collect(state_with(), MONOTONIC))["vmguest_host_cpu_used_seconds"].points
        assert point.labels == (("session_id", "0x4ec2f01ae4a0fe2"),)
        assert (point.created, point.life.since) == (None, None)

    def test_they_carry_the_time_at_which_the_host_was_read(self) -> None:
        families = named(collect(state_with(), MONOTONIC))
        assert families["vmguest_memory_used_bytes"].time == READ
        assert families["vmguest_session"].time == READ
        assert (
            families["vmguest_memory_used_bytes"].monotonic
            == families["vmguest_session"].monotonic
            == MONOTONIC
        )
        assert families["vmguest_polls"].time == 0.0

    def test_deprecated_ones_take_a_flag(self) -> None:
        name = "vmguest_host_memory_kernel_overhead_bytes"
        assert name in page(state_with(), options=Options(deprecated_metrics=True))
        assert name not in page(state_with(), options=Options(expose_identity=True))

    def test_the_pools_path_takes_a_flag(self) -> None:
        state = state_with({"resource_pool_path": "host/user/pool-7"})
        line = "vmguest_resource_pool_info{path=host/user/pool-7}"
        assert page(state, options=Options(expose_identity=True))[line] == 1.0
        assert not any("pool" in name for name in page(state, options=Options(deprecated_metrics=True)))


class TestSession:
    def test_its_id_is_spelt_as_vmware_toolbox_cmd_spells_it(self) -> None:
        assert page(state_with())["vmguest_session_info{session_id=0x4ec2f01ae4a0fe2}"] == 1.0

    def test_start_and_changes(self) -> None:
        found = page(state_with(session_changes=2))
        assert found["vmguest_session_start_timestamp_seconds"] == START
        assert found["vmguest_session_changes_total"] == 2.0


class TestWithholding:
    HOST = ("vmguest_cpu_used_seconds_total", "vmguest_session_start_timestamp_seconds")

    def test_up_to_three_intervals_a_snapshot_stands(self) -> None:
        found = page(state_with(), age=15.0)
        assert found["vmguest_up"] == 1.0
        assert set(self.HOST) <= set(found)

    def test_an_older_snapshot_is_withheld_whole(self) -> None:
        found = page(state_with(), age=15.001)
        assert found["vmguest_up"] == 0.0
        hosts = {row.metric.prometheus for row in STATISTICS} | {"vmguest_session_info"} | set(self.HOST)
        assert not {name.partition("{")[0] for name in found} & hosts

    def test_what_the_exporter_knows_of_itself_stays(self) -> None:
        found = page(state_with(session_changes=1), age=3600.0)
        assert found["vmguest_polls_total"] == 12.0
        assert found["vmguest_session_changes_total"] == 1.0
        assert found["vmguest_last_poll_timestamp_seconds"] == READ
        assert found["vmguest_vcpus"] == 4.0

    def test_after_a_failed_poll_values_stand_until_stale_and_up_is_0(self) -> None:
        found = page(state_with(last_error="timeout", errors={"timeout": 1}), age=5.0)
        assert found["vmguest_up"] == 0.0
        assert set(self.HOST) <= set(found)
        assert found["vmguest_poll_errors_total{kind=timeout}"] == 1.0

    def test_before_the_first_good_poll_there_is_no_time_of_it(self) -> None:
        found = page(PollState(interval=5.0))
        assert found["vmguest_up"] == 0.0
        assert "vmguest_last_poll_timestamp_seconds" not in found
        assert not any(name.startswith("vmguest_source_info") for name in found)


class TestExporterItself:
    def test_every_kind_of_error_is_there_from_the_start(self) -> None:
        found = page(PollState(interval=5.0))
        errors = {
            name: value for name, value in found.items() if name.startswith("vmguest_poll_errors_total")
        }
        assert errors == {f"vmguest_poll_errors_total{{kind={kind}}}": 0.0 for kind in POLL_ERROR_KINDS}

    def test_counts(self) -> None:
        found = page(state_with(polls=9, missed=2, unchanged=3, errors={"lost": 4}))
        assert found["vmguest_polls_total"] == 9.0
        assert found["vmguest_polls_missed_total"] == 2.0
        assert found["vmguest_polls_unchanged_total"] == 3.0
        assert found["vmguest_poll_errors_total{kind=lost}"] == 4.0
        assert found["vmguest_poll_errors_total{kind=refused}"] == 0.0

    def test_a_kind_that_is_not_in_the_list_is_still_counted(self) -> None:
        assert page(state_with(errors={"config": 1}))["vmguest_poll_errors_total{kind=config}"] == 1.0

    def test_duration_is_a_histogram(self) -> None:
        duration = PollState(interval=1).duration.observe(0.0005).observe(2.5)
        found = page(state_with(duration=duration))
        assert found["vmguest_poll_duration_seconds_bucket{le=0.0001}"] == 0
        assert found["vmguest_poll_duration_seconds_bucket{le=0.001}"] == 1
        assert found["vmguest_poll_duration_seconds_bucket{le=1.0}"] == 1
        assert found["vmguest_poll_duration_seconds_bucket{le=+Inf}"] == 2
        assert found["vmguest_poll_duration_seconds_sum"] == 2.5005

    def test_source_and_build(self) -> None:
        found = page(state_with())
        assert found["vmguest_source_info{source=guestrpc,transport=vsock,protocol=3}"] == 1.0
        assert found[f"vmguest_exporter_build_info{{version={__version__},python={PYTHON}}}"] == 1.0

    def test_restarts_of_the_librarys_process_where_there_is_one(self) -> None:
        name = "vmguest_library_restarts_total"
        assert page(state_with(library_restarts=2))[name] == 2.0
        assert page(state_with(library_restarts=0))[name] == 0.0
        assert name not in page(state_with())

    def test_every_family_comes_from_the_catalogue(self) -> None:
        every = {row.key: "p" if row.metric.kind is Kind.INFO else 1 for row in STATISTICS}
        state = state_with(every, extended_up=True, library_restarts=0)
        families = collect(state, MONOTONIC, EVERYTHING, Guest(1, 1))
        rows = {row.metric for row in STATISTICS} | set(catalogue.GUEST_METRICS + catalogue.SESSION_METRICS)
        rows |= set(catalogue.SELF_METRICS)
        metrics = [family.metric for family in families]
        assert set(metrics) <= rows
        # By name: one key has two rows of one name.
        assert {metric.prometheus for metric in rows} == {metric.prometheus for metric in metrics}

    def test_no_family_stands_twice(self) -> None:
        """Whatever the source: a second HELP line makes Prometheus's parsers refuse the whole page."""
        state = state_with(VALUES | {"resource_pool_path": "p"}, extended_up=True, library_restarts=0)
        names = [family.name for family in collect(state, MONOTONIC, EVERYTHING, Guest(1, 1))]
        assert sorted(names) == sorted(set(names))


class TestGuest:
    def test_what_its_kernel_does_not_tell_has_no_sample(self) -> None:
        assert {"vmguest_vcpus", "vmguest_guest_memory_bytes"} <= set(page(state_with()))
        found = lines(collect(state_with(), MONOTONIC))
        assert not {"vmguest_vcpus", "vmguest_guest_memory_bytes"} & set(found)


class TestExtended:
    GROUPS = MappingProxyType(
        {
            "session": (ExtendedValue("version", "VMware ESXi 8.0.3 build-24022510"),),
            "resources": (
                ExtendedValue("vm.cpu.contention.cpu", 2_500_000, "accumulate", "us"),
                ExtendedValue("vm.cpu.used", 7_000_000, "accumulate", "us"),
            ),
        }
    )

    def state(self, **changes: object) -> PollState:
        extended = ExtendedSnapshot(0x4EC2F01AE4A0FE2, self.GROUPS, READ, MONOTONIC)
        state = state_with(extended=extended, extended_up=True, extended_interval=15.0)
        return replace(state, **changes)  # type: ignore[arg-type]

    def test_they_stand_on_the_same_page_with_the_sessions_start(self) -> None:
        found = page(self.state())
        assert found["vmguest_cpu_contention_seconds_total{cause=cpu}"] == 2.5
        assert found["vmguest_cpu_contention_seconds_created{cause=cpu}"] == START
        assert found["vmguest_extended_up"] == 1.0
        assert found["vmguest_extended_dropped_total"] == 0.0

    def test_the_basic_statistic_wins_and_the_family_stands_once(self) -> None:
        assert page(self.state())["vmguest_cpu_used_seconds_total"] == 123.456

    def test_where_the_basic_reply_lacks_it_the_extended_one_steps_in(self) -> None:
        values = {key: value for key, value in VALUES.items() if key != "cpu_used"}
        state = self.state(snapshot=Snapshot(0x4EC2F01AE4A0FE2, 3, values))
        assert page(state)["vmguest_cpu_used_seconds_total"] == 7.0

    def test_what_identifies_the_host_takes_a_flag(self) -> None:
        words = {"host.uuid": "4c4c", "host.name": "esx1", "host.cpu.model": "Xeon"}
        groups = {"host": tuple(ExtendedValue(name, text) for name, text in words.items())}
        extended = ExtendedSnapshot(0x4EC2F01AE4A0FE2, groups, READ, MONOTONIC)
        state = self.state(extended=extended)

        def labels(options: Options) -> dict[str, str]:
            (name,) = (name for name in page(state, options=options) if name.startswith("vmguest_host_info{"))
            return dict(each.split("=") for each in name.partition("{")[2].rstrip("}").split(","))

        assert labels(Options()) == {"cpu_model": "Xeon"}
        assert labels(EVERYTHING) == {"uuid": "4c4c", "name": "esx1", "cpu_model": "Xeon"}

    def test_words_of_the_host_have_a_bound_in_length_and_number(self) -> None:
        groups = {"host": tuple(ExtendedValue(f"host.w{number}", "x" * 200) for number in range(100))}
        extended = ExtendedSnapshot(0x4EC2F01AE4A0FE2, groups, READ, MONOTONIC)
        (point,) = named(collect(self.state(extended=extended), MONOTONIC))["vmguest_host"].points
        assert point.labels == tuple((f"w{number}", "x" * 128) for number in range(32))

    def test_of_two_spellings_of_one_word_the_first_counts(self) -> None:
        words = (ExtendedValue("host.cpu.model", "Xeon"), ExtendedValue("cpuModel", "Epyc"))
        extended = ExtendedSnapshot(0x4EC2F01AE4A0FE2, {"host": words}, READ, MONOTONIC)
        assert page(self.state(extended=extended))["vmguest_host_info{cpu_model=Xeon}"] == 1.0

    @pytest.mark.parametrize("start", [READ - 60, READ + 3600, None])
    def test_no_counter_begins_after_the_time_at_which_it_was_read(self, start: float | None) -> None:
        """The beginning became known after the round, by another clock."""
        family = named(collect(self.state(lives=Lives(Life(1, start))), MONOTONIC))[
            "vmguest_cpu_contention_seconds"
        ]
        assert [point.created for point in family.points] == [start]
        assert [point.read and point.read.wall for point in family.points] == [max(READ, start or 0)]

    def test_a_stale_snapshot_takes_them_with_it(self) -> None:
        found = page(self.state(), age=16.0)
        assert not any("contention" in name or "hypervisor" in name for name in found)
        assert found["vmguest_extended_up"] == 0.0

    def test_a_failed_round_says_so(self) -> None:
        found = page(self.state(extended_up=False, extended_dropped=3))
        assert found["vmguest_extended_up"] == 0.0
        assert found["vmguest_extended_dropped_total"] == 3.0

    def test_hosts_without_them_have_no_extended_up(self) -> None:
        assert "vmguest_extended_up" not in page(state_with())
