"""`mdm demo`: all of it on a small city, with what it found printed for a newcomer."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from mdm.cli.demo_page import REGISTRY_TITLES, Page, odds
from mdm.cli.demo_service import DemoService, command_line, run_command
from mdm.cli.demo_story import Story, choose_story, mistyped_admission, newcomer
from mdm.cli.demo_truth import Crosswalk, quality, read_crosswalk, read_truth
from mdm.cli.output import ExitCode, fail
from mdm_client import CitizenAttributes, Client, EntityKind, GoldenIdStatus, SourceKey, WriteOutcome
from mdm_client.results import MatchCandidate, Resolution

FEEDS = (
    "hospital.patients",
    "social_security.insured",
    "social_security.employers",
    "household.residents",
    "company.businesses",
)
"""In the worst order for a linker: the least reliable registry comes first."""

_INTRODUCTION = (
    "Four registries of a city describe the same people and firms under different keys, spellings and dates.",
    "Here they become one population: every record gets the golden ID of the one person or firm that it is about.",
    "Everybody below is invented, so names may be shown; the service itself never writes one to a log or an error.",
)


def demo(
    citizens: Annotated[int, typer.Option(min=50, help="People of the city.")] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same city.")] = 27,
    data: Annotated[
        Path | None, typer.Option(help="Keep everything in this new or empty directory; without it, nothing is kept.")
    ] = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Stop the service at the end, on a terminal too.")
    ] = False,
) -> None:
    """Show all of it on a small city: load, re-link, explain, crash, recover. Needs no network.

    \b
    Examples:
      mdm demo
      mdm demo --citizens 10000 --seed 3 --no-serve
    """
    is_serving_on = sys.stdin.isatty() and "CI" not in os.environ and not no_serve
    page = Page()
    with _folder(data) as folder, _ended_by_signals():
        service = DemoService(folder / "service", folder / "service.log")
        try:
            is_proven = _Demo(page, folder, service).run(citizens, seed)
            if is_serving_on:
                _serve_on(page, service)
        finally:
            is_clean = service.stop()
    if not is_clean:
        page.bad("The service did not end cleanly.")
    page.say(
        f"Stopped. {f'Everything is kept in {data}.' if data else 'The temporary data is removed.'} "
        f"The whole demo took {page.elapsed_s():.0f} s."
    )
    raise typer.Exit(ExitCode.DONE if is_proven and is_clean else ExitCode.FAILED)


class _Demo:
    """One run, step by step."""

    def __init__(self, page: Page, folder: Path, service: DemoService) -> None:
        self._page = page
        self._city = folder / "city"
        self._folder = folder
        self._service = service
        self._truth: Crosswalk = {}

    def run(self, citizens: int, seed: int) -> bool:
        """Show everything; return whether every golden ID still answered after the crash."""
        page = self._page
        page.title("hcm-mdm: four registries in, golden IDs out", *_INTRODUCTION)
        with page.step("A small city"):
            self._write_city(citizens, seed)
        with page.step("A service"):
            page.command(command_line(self._service.arguments()))
            self._service.start()
            page.say(
                f"It answers on {self._service.address}: one process decides and writes, two answer. "
                f"All its state lies in one directory."
            )
        with page.step("Five feeds, loaded over gRPC"):
            self._load()
        with Client(self._service.address, actor="mdm-demo", purpose="demonstration") as client:
            with page.step("Is it right? Then the whole city again, in batch"):
                self._relink(client)
            story = choose_story(client, read_crosswalk(client))
            if story is None:
                fail("nobody in this city stands in three registries; take more --citizens")
            with page.step(f"The story of {story.name}"):
                self._tell(client, story)
            with page.step("At the counter"):
                self._admit(client, story)
            with page.step("Pull the plug"):
                is_proven = self._crash(client)
            with page.step("Call it yourself"):
                self._teach(story)
        return is_proven

    def _write_city(self, citizens: int, seed: int) -> None:
        arguments = ("synth", self._city, "--citizens", str(citizens), "--seed", str(seed))
        self._page.command(command_line(arguments))
        city = run_command(*arguments)
        self._truth = read_truth(self._city)
        traps = city["hard_negatives"]
        self._page.say(
            f"{city['citizens']:,} citizens and {city['businesses']:,} firms, written down by four registries in "
            f"{sum(city['rows'].values()):,} rows.",
            "The clerks slip as real ones do: lost diacritics, swapped dates, old card numbers, wards of before and "
            "after the reform.",
            f"And traps: {traps['twins']} pairs of twins, {traps['father_and_son_of_one_name']} fathers and sons of "
            f"one name, {traps['namesakes_born_the_same_day']} pairs of namesakes born the same day.",
            "truth.csv says who is who. Only the scores below read it; the service never sees it.",
        )

    def _load(self) -> None:
        rows = []
        for feed in FEEDS:
            arguments = ("load", feed, self._city / f"{feed}.csv", "--server", self._service.address)
            self._page.command(command_line(arguments))
            rejects = self._folder / f"{feed}.rejects.csv"
            loaded = run_command(*arguments, "--rejects", rejects)
            records = loaded["records"]
            rows.append(
                (
                    feed,
                    loaded["rows"],
                    sum(records.values()),
                    *(records.get(str(outcome), 0) for outcome in _SHOWN_OUTCOMES),
                    loaded["rejected"],
                    f"{loaded['records_per_s']:,.0f}",
                )
            )
        self._page.gap()
        self._page.table(
            ("feed", "rows", "records", "new", "joined", "asks", "set aside", "records/s"),
            rows,
        )
        self._page.say(
            "Each record was resolved, and its golden ID durable, before it was acknowledged. A company's row yields "
            "two records: the firm and its representative.",
            "New: a golden ID of its own. Joined: somebody known. Asks: likely somebody known, but not surely; it has "
            "an ID of its own until a steward says.",
        )

    def _relink(self, client: Client) -> None:
        scores = self._scores("after loading", read_crosswalk(client))
        self._page.command(command_line(("relink", "--server", self._service.address)))
        report = run_command("relink", "--server", self._service.address)
        scores += self._scores("after re-linkage", read_crosswalk(client))
        self._page.qualities(scores)
        self._page.say(
            "Truth: how many people or firms there really are. Precision: of all pairs of records under one golden ID, "
            "the share that truly belong together; the others are wrong and would harm a person. Recall: of all pairs "
            "that truly belong together, the share found; the others are missed, and can still be found.",
            f"Re-linkage weighed the pairs anew with Splink, by the statistics of this very city, and changed only "
            f"what had to change: {_sum(report, 'merged_golden_id_count'):,} golden IDs merged, "
            f"{_sum(report, 'split_golden_id_count'):,} split, {_sum(report, 'moved_record_count'):,} records moved.",
        )

    def _scores(self, when: str, crosswalk: Crosswalk) -> list[tuple[str, str, Any]]:
        kinds = (("citizens", EntityKind.CITIZEN), ("businesses", EntityKind.BUSINESS))
        return [
            (when if index == 0 else "", what, quality(crosswalk, self._truth, kind))
            for index, (what, kind) in enumerate(kinds)
        ]

    def _tell(self, client: Client, story: Story) -> None:
        page = self._page
        page.say(f"{len(story.rows)} registries know {story.whom}, and each writes in its own way:")
        page.gap()
        page.story(story)
        page.gap()
        page.good(f"One golden ID: {story.golden_id}")
        record = client.get_record(story.unlike.key).record
        found = _own(client.preview(record).match.candidates, story.golden_id) if record else None
        if found is None:
            return
        page.say(
            f"Why does the {REGISTRY_TITLES[story.unlike.key.registry]} row belong to {story.whom}? "
            f"Weighed against {story.whose} row that fits best:"
        )
        page.gap()
        page.waterfall(found)
        page.say(
            f"Each bit doubles the odds; they are even at │. {found.match_weight_bits:.1f} bits are "
            f"{odds(found.match_weight_bits)} that this is one person: a probability of "
            f"{_probability(found.match_probability)}."
        )

    def _admit(self, client: Client, story: Story) -> None:
        page = self._page
        typed = mistyped_admission(story)
        page.say(
            f'{story.name} is admitted to a hospital. The clerk types "{typed.full_name}", '
            f"born {typed.birth_date[:8]}, number {_number(typed)}, no address.",
            "The service searches before it creates:",
        )
        answer, took_ms = _resolved(client, SourceKey("hospital", EntityKind.CITIZEN, "DEMO-1"), typed)
        if answer.golden_id == story.golden_id:
            candidate = _own(answer.match.candidates, story.golden_id)
            sure = f" ({odds(candidate.match_weight_bits)})" if candidate else ""
            page.good(f"Found in {took_ms:.0f} ms: {answer.golden_id}, the same golden ID{sure}.")
        elif story.golden_id in {candidate.golden_id for candidate in answer.match.candidates}:
            page.say(
                f"Likely {story.whom}, but not surely: the record got {answer.golden_id} and a steward is asked "
                f"({took_ms:.0f} ms). What forbids a link without one: {_held_back(answer, story.golden_id)}."
            )
        else:
            page.bad(f"Not found; the record got {answer.golden_id}.")
        stranger = newcomer()
        page.say(f"Then somebody whom no registry knows: {stranger.full_name}, born {stranger.birth_date[:8]}.")
        answer, took_ms = _resolved(client, SourceKey("hospital", EntityKind.CITIZEN, "DEMO-2"), stranger)
        if answer.write_outcome is WriteOutcome.CREATED:
            page.good(f"Created in {took_ms:.0f} ms: {answer.golden_id}, a golden ID of her own.")
        else:
            page.bad(f"Not created: {answer.write_outcome}.")

    def _crash(self, client: Client) -> bool:
        page = self._page
        before = read_crosswalk(client)
        golden_ids = sorted(set(before.values()))
        count = self._service.kill()
        page.say(f"Killed all {count} processes of the service at once (SIGKILL): no farewell, nothing saved.")
        seconds = self._service.start()
        page.say(f"Started again on the same data; it answered after {seconds:.1f} s.")
        after = read_crosswalk(client)
        answers = client.current_golden_ids(golden_ids)
        changed = sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
        silent = sum(status is not GoldenIdStatus.ACTIVE for status in answers.statuses)
        line = (
            f"{len(golden_ids):,} golden IDs before, {len(golden_ids) - silent:,} answer now; "
            f"{len(before):,} records before, {changed:,} with another golden ID or none."
        )
        if changed or silent:
            page.bad(line)
        else:
            page.good(line)
        return not (changed or silent)

    def _teach(self, story: Story) -> None:
        page, key = self._page, story.admission
        body = f'{{"registry": "{key.registry}", "entity_kind": "ENTITY_KIND_CITIZEN", "record_id": "{key.record_id}"}}'
        page.say("In Python:")
        page.code(
            f"  from mdm_client import CitizenAttributes, Client, EntityKind\n"
            f'  with Client("{self._service.address}") as client:\n'
            f'      print(client.lookup("{key.registry}", EntityKind.CITIZEN, "{key.record_id}").golden_id)\n'
            f'      print(client.golden_record("{story.golden_id}").values)'
        )
        page.say("In a shell; every call states how long it is willing to wait:")
        page.code(
            f"  buf curl --protocol grpc --http2-prior-knowledge --timeout 5s \\\n"
            f"    --data '{{\"key\": {body}}}' \\\n"
            f"    http://{self._service.address}/mdm.v1.LookupService/Lookup\n"
            f"  buf curl --protocol grpc --http2-prior-knowledge --timeout 5s \\\n"
            f'    --data \'{{"golden_id": "{story.golden_id}"}}\' \\\n'
            f"    http://{self._service.address}/mdm.v1.GoldenRecordService/GetGoldenRecord"
        )


_SHOWN_OUTCOMES = (WriteOutcome.CREATED, WriteOutcome.LINKED, WriteOutcome.REVIEW)


def _resolved(client: Client, key: SourceKey, attributes: Any) -> tuple[Resolution, float]:
    started_s = time.monotonic()
    answer = client.resolve(attributes, key=key, updated_at="2026-11-02T08:00:00+07:00")
    return answer, (time.monotonic() - started_s) * 1000


def _own(candidates: tuple[MatchCandidate, ...], golden_id: str) -> MatchCandidate | None:
    return next((candidate for candidate in candidates if candidate.golden_id == golden_id), None)


def _number(attributes: CitizenAttributes) -> str:
    return attributes.identifiers[0].value if attributes.identifiers else "–"


def _held_back(answer: Resolution, golden_id: str) -> str:
    candidate = _own(answer.match.candidates, golden_id)
    return (candidate.veto.replace("_", " ") if candidate else "") or "too little evidence"


def _sum(report: Mapping[str, Any], name: str) -> int:
    return sum(impact.get(name, 0) for impact in report.values() if isinstance(impact, dict))


def _probability(value: float) -> str:
    # More nines than these say nothing: the model's own numbers are not that sure.
    return "over 99.9999 %" if value > 0.999999 else f"{100 * value:.4f} %"  # noqa: PLR2004


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """Yield the directory to work in: the given one, which stays, or a temporary one, which is removed."""
    if data is not None:
        if data.exists() and (not data.is_dir() or any(data.iterdir())):
            fail(f"{data} must be new or an empty directory", ExitCode.USAGE)
        data.mkdir(parents=True, exist_ok=True)
        yield data.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="mdm-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an interrupt, so that the service ends and the data is removed then too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _serve_on(page: Page, service: DemoService) -> None:
    page.gap()
    page.say(f"The service answers on {service.address} until you press Ctrl-C.")
    try:
        while service.is_running():
            time.sleep(0.2)
        page.bad("The service has ended by itself.")
    except KeyboardInterrupt:
        page.gap()
