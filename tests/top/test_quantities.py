"""Each number against the host's own counters, worked out here by hand."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.catalogue import METRICS
from exporter.insight.verdict import QUESTIONS
from exporter.outputs.api import Document, document
from exporter.top.frame import Frame
from exporter.top.quantities import CPU, DISK, MEMORY, NETWORK, DeviceColumn, Quantity
from exporter.top.screen import hour
from tests.insight.by_hand import ByHand
from tests.insight.simulated import Simulated
from tests.top.worlds import documents, frame

ROWS = {row.name.strip(): row for row in (*CPU, *MEMORY)}


def raw(document: Document, key: str) -> Any:
    return document["raw"]["statistics"][key]


def stat(document: Document, group: str, name: str) -> Any:
    return document["raw"]["groups"][group][name]["value"]


def test_used_and_stolen_are_shares_of_the_hosts_own_time() -> None:
    before, after = documents("noisy-neighbour")
    elapsed = raw(after, "elapsed") - raw(before, "elapsed")
    used = 100 * (raw(after, "cpu_used") - raw(before, "cpu_used")) / elapsed
    stolen = 100 * (raw(after, "cpu_stolen") - raw(before, "cpu_stolen")) / elapsed / after["guest"]["vcpus"]
    assert ROWS["%USED"].take(frame("noisy-neighbour")) == pytest.approx(used)
    assert ROWS["stolen"].take(frame("noisy-neighbour")) == pytest.approx(stolen)
    assert stolen > 10


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("GRANT", "memory_mapped"),
        ("MCTLSZ", "memory_ballooned"),
        ("MCTLTGT", "memory_balloon_target"),
        ("MCTLMAX", "memory_balloon_max"),
        ("SWCUR", "memory_swapped"),
        ("SWTGT", "memory_swap_target"),
        ("zipped", "memory_zipped"),
        ("used", "memory_used"),
    ],
)
def test_amounts_of_memory_are_the_hosts_megabytes(name: str, key: str) -> None:
    found = frame("swapping")
    assert ROWS[name].take(found) == raw(found.now, key)


def test_shares_of_memory() -> None:
    found = frame("swapping")
    size = found.now["guest"]["installed_bytes"] / 2**20
    assert ROWS["MEMSZ"].take(found) == size
    assert ROWS["%ACTV"].take(found) == pytest.approx(100 * raw(found.now, "memory_active") / size)


def test_swap_rates_lie_between_two_rounds() -> None:
    before, after = documents("swapping")
    seconds = after["poll"]["extended_read_monotonic"] - before["poll"]["extended_read_monotonic"]
    for name, statistic in (("SWR/s", "guest.mem.swapIn"), ("SWW/s", "guest.mem.swapOut")):
        kilobytes = stat(after, "resources", statistic) - stat(before, "resources", statistic)
        assert ROWS[name].take(frame("swapping")) == pytest.approx(kilobytes / 1024 / seconds)


def test_a_rate_is_per_second_between_its_own_two_answers_however_long_the_rounds_took() -> None:
    name = "vmguest_memory_swapped_in_bytes_total"

    def answered(value: float, read: float, ended: float) -> Document:
        points = [{"labels": {}, "value": value, "read_monotonic": read}]
        return {
            "poll": {"extended_read_monotonic": ended},
            "session": {"id": "0x1", "changes": 0},
            "before": {"poll": {"extended_read_monotonic": None}, "metrics": []},
            "metrics": [{"name": name, "points": points}],
        }

    first = Frame.first(answered(1e6, 100.0, 101.0))
    assert first.after(answered(16e6, 115.0, 123.0)).extended_rate(name) == 1e6


def test_a_counter_that_began_anew_has_no_rate_although_it_is_beyond_its_former_value() -> None:
    """The host's own in a session that goes on: looked at seldom, it may have fallen and risen in between."""
    name = "vmguest_cpu_stolen_seconds_total"
    world = ByHand()
    seen = []
    for poll, stolen in zip(world.polls(9), (500, 1000, 1500, 0, 2000, 4000, 4000, 4500, 5000), strict=True):
        if poll in (3, 6):
            seen.append(document(world.published))
        world.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": stolen}
    seen.append(document(world.published))
    first = Frame(seen[0])
    assert first.after(seen[1]).rate(name) is None, "from 1.5 s to 4 s"
    assert first.after(seen[1]).after(seen[2]).rate(name) == pytest.approx(1 / 15)


def test_disks_and_cards_by_the_hosts_counters() -> None:
    before, after = documents("steady")
    seconds = after["poll"]["extended_read_monotonic"] - before["poll"]["extended_read_monotonic"]
    both: tuple[DeviceColumn, ...] = (*DISK, *NETWORK)
    columns = {column.name: column.take for column in both}
    disk = frame("steady").devices("disk", "vmguest_disk_")[0]
    group = f"vscsi {disk}"
    growth = stat(after, group, "num.reads") - stat(before, group, "num.reads")
    assert columns["READS/s"](frame("steady"), disk) == pytest.approx(growth / seconds)
    latency = columns["LAT/rd"](frame("steady"), disk)
    assert latency is not None
    assert 0 < latency < 1000
    mac = frame("steady").devices("mac", "vmguest_network_")[0]
    assert (columns["PKTTX/s"](frame("steady"), mac) or 0) > 0


def test_nothing_is_made_of_one_document_or_across_sessions() -> None:
    before, after = documents("noisy-neighbour")
    assert ROWS["%USED"].take(Frame(before)) is None
    nothing = {"poll": {"extended_read_monotonic": None}, "metrics": []}
    other = {**after, "session": {**after["session"], "id": "0x1"}, "before": nothing}
    moved = Frame(before).after(other)
    assert ROWS["%USED"].take(moved) is None
    assert ROWS["SWR/s"].take(moved) is None


def test_the_first_frame_has_the_rates_of_the_exporters_last_interval() -> None:
    _, after = documents("swapping")
    found = Frame.first(after)
    assert not found.waits
    for row in (*CPU, *MEMORY):
        assert row.take(found) is not None, row.name
    # The poll before was 5 s ago, the round before 15: as far back as the frame of worlds looks for rounds.
    assert ROWS["SWR/s"].take(found) == pytest.approx(ROWS["SWR/s"].take(frame("swapping")))
    for label, prefix, columns in (("disk", "vmguest_disk_", DISK), ("mac", "vmguest_network_", NETWORK)):
        for device in found.devices(label, prefix):
            assert [column.name for column in columns if column.take(found, device) is None] == []


def test_a_sample_that_is_repeated_leaves_the_rate_as_it_was() -> None:
    _, after = documents("noisy-neighbour")
    found = frame("noisy-neighbour")
    assert ROWS["%USED"].take(found.after(after)) == ROWS["%USED"].take(found)


def test_a_host_without_extended_statistics_has_no_numbers_of_them() -> None:
    found = frame("v2-host")
    assert ROWS["SWR/s"].take(found) is None
    assert ROWS["%SWPWT"].take(found) is None


@pytest.mark.parametrize("row", [*CPU, *MEMORY], ids=lambda row: row.name.strip())
def test_rows_name_charts_and_questions_that_there_are(row: Quantity) -> None:
    if row.chart:
        assert hour(documents("steady")[1], row.chart)[0]
    if row.question:
        assert row.question in {question.key for question in QUESTIONS}


def test_names_that_esxtop_gives_to_other_quantities_are_not_used() -> None:
    devices: tuple[DeviceColumn, ...] = (*DISK, *NETWORK)
    names = {*ROWS, *(column.name for column in devices)}
    assert not names & {"%RDY", "ZIP/s", "%CSTP", "%MLMTD", "DAVG", "KAVG", "GAVG"}


def test_metrics_with_a_fixed_name_are_read_by_that_name() -> None:
    fixed = {metric.prometheus for metric in METRICS}
    assert {"vmguest_elapsed_seconds_total", "vmguest_memory_swap_in_bytes_total"} <= fixed


@pytest.mark.parametrize("step", [-20.0, -3.0, 3600.0])
def test_a_wall_clock_that_is_set_bends_no_rate(step: float) -> None:
    def last(step: float) -> list[float | None]:
        world = Simulated("swapping")
        found = None
        for poll in range(13):
            if poll == 11:
                world.set_by += step
            world.poll()
            now = document(world.published)
            found = Frame.first(now) if found is None else found.after(now)
            world.now += 5.0
        world.close()
        assert found is not None
        device = found.devices("mac", "vmguest_network_")[0]
        frames = found, Frame.first(found.now)
        rates = [row.take(each) for row in (*CPU, *MEMORY) for each in frames]
        return rates + [column.take(each, device) for column in NETWORK for each in frames]

    rates = last(step)
    assert rates == last(0.0)
    assert None not in rates


def test_counters_that_begin_anew_under_the_same_id_have_no_rate_with_those_before() -> None:
    before, after = documents("swapping")
    nothing = {"poll": {"extended_read_monotonic": None}, "metrics": []}
    anew = {**after, "session": {**after["session"], "changes": 1}, "before": nothing}
    assert ROWS["SWR/s"].take(Frame(before).after(anew)) is None
