"""The comparisons, each of which returns rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .blocked import WORKERS, blocked
from .contest import Contender, contest
from .table import Row

PEER_DIR = "PROMETHEUS_MULTIPROC_DIR"
#: So many processes of each contender, where a sample takes nanoseconds or microseconds.
COPIES = 3


@contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder in memory, as the shared one is under gunicorn, to ours and peers alike."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


def counting(rounds: int) -> list[Row]:
    """Compare one addition."""
    with folder() as ours, folder() as theirs:
        several = [Contender("counting", ours, **{PEER_DIR: str(theirs)}) for _ in range(COPIES)]
        found = contest({"all": several}, rounds // 2)["all"]
        for contender in several:
            contender.close()
    bare = found.pop("bare")
    took = {name: bare * times for name, times in found.items()}
    return [
        Row("Int.add : bare lock and mmap", took["Int.add"], bare, "ns", 1.2),
        Row("Int.add : prometheus inc, multiprocess", took["Int.add"], took["inc"], "ns", 0.4),
        Row(
            "Map.add : prometheus labels().inc(), multiprocess",
            took["Map.add"], took["labels.inc"], "ns", 0.25,
        ),
    ]  # fmt: skip


def requesting(rounds: int) -> list[Row]:
    """Compare what is added to a request: counts, trace and flight note, or the counts alone."""
    with folder() as ours, folder() as counts, folder() as theirs:
        settings = {
            "ours": ("expvar", {"FLASK_EXPVAR_DIR": str(ours)}),
            "counts": ("counting", {"FLASK_EXPVAR_DIR": str(counts)}),
            "single": ("exporter", {}),
            "multi": ("exporter", {PEER_DIR: str(theirs)}),
            "otel": ("opentelemetry", {}),
        }
        contenders = {
            name: [Contender("requesting", app, **environ) for _ in range(COPIES)]
            for name, (app, environ) in settings.items()
        }
        found = contest(contenders, rounds // 2)
        for several in contenders.values():
            for contender in several:
                contender.close()
    plain = median(samples["plain"] for samples in found.values())
    added = {name: plain * samples["added"] for name, samples in found.items()}
    return [
        Row("added to a request : prometheus-flask-exporter, one process",
            added["ours"], added["single"], "µs", 1 / 2),
        # The like of ours: in one process it tells of one worker.
        Row("added to a request : prometheus-flask-exporter, multiprocess",
            added["ours"], added["multi"], "µs", 1 / 2),
        Row("added to a request : OpenTelemetry traces and metrics",
            added["ours"], added["otel"], "µs", 1 / 10),
        Row("added to a request : the plain request itself", added["ours"], plain, "µs"),
        Row("… counting alone : prometheus-flask-exporter, one process",
            added["counts"], added["single"], "µs", 1 / 3),
        Row("… counting alone : prometheus-flask-exporter, multiprocess",
            added["counts"], added["multi"], "µs", 1 / 3),
        Row("… counting alone : OpenTelemetry traces and metrics",
            added["counts"], added["otel"], "µs", 1 / 15),
    ]  # fmt: skip


def tracing(rounds: int, traces: int) -> list[Row]:
    """Compare one trace, and the memory after more and more of them."""
    contender = Contender("tracing", "speed")
    found = contest({"all": [contender]}, rounds)["all"]
    contender.close()
    crowd = Contender("tracing", "memory")
    first, half, all_ = (crowd.ask(f"grow {traces // part}") for part in (10, 2, 1))
    crowd.close()
    return [
        Row("trace with 2 events : OpenTelemetry span, no exporter",
            found["trace"], found["span"], "µs", 1 / 10),
        Row("… as the current one : start_as_current_span",
            found["block"], found["current span"], "µs"),
        # The rings of seldom latencies fill last.
        Row(f"memory after {traces // 2:,} requests over 300 routes : {traces // 10:,}",
            half, first, "MiB"),
        Row(f"memory after {traces:,} requests over 300 routes : {traces // 2:,}",
            all_, half, "MiB", 1.05),
    ]  # fmt: skip


#: Workers that each have 200 threads, in the comparison of looking at them.
LOOKERS = 4


def looking(rounds: int) -> list[Row]:
    """Tell what the page of threads takes, and for how long it stops the worker that shows it."""
    with folder() as path, ExitStack() as stack:
        workers = [Contender("looking", path) for _ in range(LOOKERS)]
        for worker in workers:
            stack.callback(worker.close)
            worker.ask("park")
        found = contest({"first": [workers[0]]}, rounds)["first"]
    title = f"/debug/threads, {LOOKERS} workers of 200 threads"
    return [
        Row(f"{title} : 150 ms", found["page"], 150, "ms", 1),
        Row("… the worker kept from running, CPU time of the looker : 5 ms", found["held"], 5,
            "ms", 1),
        Row("… longest gap of a spinning thread, this worker looked at alone : 5 ms",
            found["alone"], 5, "ms", 1),
        Row("… the same, with all workers on one CPU : 5 ms", found["gap"], 5, "ms"),
    ]  # fmt: skip


def hiding(rounds: int) -> list[Row]:
    """Tell what the worst of many hostile texts takes."""
    contender = Contender("hiding")
    found = contest({"all": [contender]}, rounds)["all"]
    contender.close()
    return [
        Row("redaction of 1 MiB in one hostile text, the worst of 20 : 100 ms", found["text"],
            100, "ms", 1),
        Row("… of 4 KiB, which is all of a text that is looked at : 100 ms", found["piece"], 100,
            "ms"),
    ]  # fmt: skip


def answering(rounds: int) -> list[Row]:
    """Tell how soon the variables are there while no request can be answered."""
    found = blocked(rounds)
    title = f"/debug/vars while {WORKERS} sync workers are blocked"
    rows = []
    for name, text in (
        ("listener", "the listener in one of them"),
        ("monitor", "flask-expvar monitor"),
    ):
        usual, worst = found[name]
        rows += [
            Row(f"{title}, {text} : 50 ms", usual, 50, "ms", 1),
            Row(f"… the worst of {rounds} : 50 ms", worst, 50, "ms", 1),
        ]
    return rows


class Server:
    """A folder with a reader and other workers beside it."""

    def __init__(self, path: Path, series: int, workers: int) -> None:
        self.path = path
        self.farm = Contender("workers", path, series)
        self.farm.ask(f"start {workers - 1}")
        self.reader = Contender("reading", path, series)
        told = self.reader.ask("check")
        expected = {"series": series, "live": workers, "slots": workers, "sum": workers}
        assert told == expected, told

    def close(self) -> None:
        """End all processes."""
        self.reader.close()
        self.farm.close()


def reading(rounds: int, restarts: int) -> list[Row]:
    """Compare one read of the page, before and after deaths and restarts."""
    with ExitStack() as stack:
        eight, few, many, old = (
            Server(stack.enter_context(folder()), series, workers)
            for series, workers in ((1000, 8), (1000, 2), (10_000, 8), (1000, 8))
        )
        theirs = stack.enter_context(folder())
        peer = Contender("peer_reading", 1000, 8, **{PEER_DIR: str(theirs)})
        large_theirs = stack.enter_context(folder())
        large = Contender("peer_reading", 10_000, 8, **{PEER_DIR: str(large_theirs)})
        before = sizes(old.path)
        old.farm.ask(f"restart {restarts}")
        after = sizes(old.path)
        contenders = {
            "ours": eight.reader, "few": few.reader, "many": many.reader,
            "restarted": old.reader, "peer": peer, "large": large,
        }  # fmt: skip
        found = contest({name: [one] for name, one in contenders.items()}, rounds)
        eight.farm.ask("stop 7")
        alone = contest({"dead": [eight.reader], "peer": [peer]}, rounds)
        told = [eight.reader.ask("check"), old.reader.ask("check")]
        assert [each["sum"] for each in told] == [8, 8 + restarts], told
        for each in (eight, few, many, old):
            each.close()
        peer.close()
        large.close()
    ours, theirs_ms, dead = found["ours"], found["peer"]["page"], alone["dead"]
    versus = "prometheus generate_latest, multiprocess"
    live, gone = "/debug/vars, 1,000 series, 8 live", "/debug/vars, 1,000 series, 1 live of 8"
    return [
        Row(f"{live} : {versus}", ours["page"], theirs_ms, "ms", 1 / 20),
        Row("… the whole request", ours["request"], theirs_ms, "ms"),
        Row("… first read in a second", ours["cold"], theirs_ms, "ms"),
        Row("… first read in a second, the whole request", ours["cold request"], theirs_ms, "ms"),
        Row(f"{gone} : {versus}", dead["page"], alone["peer"]["page"], "ms"),
        Row("… first read in a second, the whole request", dead["cold request"],
            alone["peer"]["page"], "ms"),
        Row(f"after {restarts:,} restarts : {versus}", found["restarted"]["page"], theirs_ms, "ms"),
        Row(f"after {restarts:,} restarts : before", found["restarted"]["page"], ours["page"],
            "ms", 1.15),
        Row("10,000 series : 1,000", found["many"]["page"], ours["page"], "ms", 11),
        Row("8 live workers : 2", ours["page"], found["few"]["page"], "ms", 4),
        Row("8 live workers : 2, first read in a second", ours["cold"], found["few"]["cold"], "ms"),
        Row(f"/debug/metrics, 1,000 series, 8 live : {versus}", ours["metrics"], theirs_ms, "ms",
            1 / 20),
        Row(f"/debug/metrics, 10,000 series, 8 live : {versus}", found["many"]["metrics"],
            found["large"]["page"], "ms", 1 / 20),
        *memory(before, after, restarts),
    ]  # fmt: skip


def memory(before: dict[str, int], after: dict[str, int], restarts: int) -> list[Row]:
    """Compare the files of 8 workers before and after restarts."""
    slots = {name: size for name, size in after.items() if name.startswith("slot")}
    each = f"files of 8 workers, 1,000 series, after {restarts:,} restarts : before"
    return [
        Row(each, len(after), len(before), "files", 1),
        Row("… slots among them", len(slots), 8, "files", 1),
        Row("… all sizes", sum(after.values()) / 1024, sum(before.values()) / 1024, "KiB", 1),
        Row("… largest slot : smallest", max(slots.values()) / 1024, min(slots.values()) / 1024,
            "KiB"),
    ]  # fmt: skip


def sizes(path: Path) -> dict[str, int]:
    """Return the size of each file in the folder *path*."""
    return {each.name: each.stat().st_size for each in sorted(path.iterdir())}
