"""The dashboard, the alerts and the documents name figures that the service really shows."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mdm import stages
from mdm.v1 import common_pb2 as common
from mdm.v1 import match_service_pb2 as match
from mdm.v1 import registry_service_pb2 as registry
from mdm.v1.match_service_pb2_grpc import MatchServiceStub
from mdm.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.server.records import citizen, end, header, operations
from tests.server.trouble import read, write
from tests.serving import RunningServer

FIGURE = re.compile(r"\bmdm_[a-z_]+")
SAMPLE = re.compile(r"^(mdm_[a-z_]+)(\{[^}]*\})? [0-9.e+-]+$", re.MULTILINE)
RULE_KEYS = ("alert", "expr", "for", "labels", "annotations")
RULE_LINE = re.compile(r"^ {6}(?:- | {2})(\w+): (.+)$", re.MULTILINE)
FLOW = re.compile(r'^\{(?:\w+: (?:\w+|"[^"]*")(?:, )?)+\}$')
LATER = {"mdm_relink_phase", "mdm_relink_stage_seconds", "mdm_certificate_expires_timestamp_seconds"}
"""Figures that come with the first re-linkage, and with TLS."""
ENDINGS = ("_bucket", "_count", "_sum", "_total")


@pytest.fixture(scope="module")
def page(server: RunningServer, channel: grpc.Channel) -> str:
    """The figures after a call of each sort."""
    write(channel, "MONITORED")
    read(channel, "MONITORED")
    attributes = citizen("MONITORED").attributes
    MatchServiceStub(channel).Match(match.MatchRequest(attributes=attributes), timeout=5)
    row = registry.IngestOperation(ordinal=1, upsert=citizen("MONITORED-LOAD", "Vũ Ngọc Lan"))
    parts = iter([header("monitored"), operations(row), end()])
    list(RegistryServiceStub(channel).IngestRecords(parts, timeout=5))
    until_s = time.monotonic() + 20
    shown = ('mdm_records{kind="citizen"', 'stage="journal"', 'stage="match"')
    while not all(each in (text := _scrape(server)) for each in shown):
        assert time.monotonic() < until_s, text
        time.sleep(0.2)
    return text


def _scrape(server: RunningServer) -> str:
    with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def _shown(page: str) -> set[str]:
    return {name for name, _ in SAMPLE.findall(page)} | set(re.findall(r"^# TYPE (mdm_[a-z_]+) ", page, re.MULTILINE))


def _family(name: str) -> str:
    """Return the name of a figure without what Prometheus appends."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name.removesuffix("_created")


def _rules(text: str) -> Iterator[dict[str, str]]:
    rule: dict[str, str] = {}
    for key, value in RULE_LINE.findall(text):
        if key == "alert" and rule:
            yield rule
            rule = {}
        rule[key] = value
    yield rule


def test_every_figure_of_the_dashboard_exists(page: str, project_root: Path) -> None:
    dashboard = json.loads((project_root / "deploy" / "grafana" / "mdm.json").read_text(encoding="utf-8"))
    named = {
        name for panel in dashboard["panels"] for target in panel["targets"] for name in FIGURE.findall(target["expr"])
    }
    assert named - _shown(page) <= LATER
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in dashboard["panels"]})


def test_every_alert_is_whole_and_its_figures_and_page_exist(page: str, project_root: Path) -> None:
    text = (project_root / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    rules = list(_rules(text))
    assert len({rule["alert"] for rule in rules}) == len(rules) == text.count("- alert:")
    for rule in rules:
        assert tuple(rule) == RULE_KEYS, rule
        expression = rule["expr"]
        assert set(FIGURE.findall(expression)) <= _shown(page), rule["alert"]
        assert [expression.count(each) for each in "([{"] == [expression.count(each) for each in ")]}"], rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert FLOW.match(rule["labels"])
        assert FLOW.match(rule["annotations"])
        path, _, anchor = re.findall(r'page: "([^"]+)"', rule["annotations"])[0].partition("#")
        headings = re.findall(r"^#+ (.+)$", (project_root / path).read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, rule["alert"]


def test_the_document_lists_every_figure_and_every_stage(page: str, project_root: Path) -> None:
    text = (project_root / "docs" / "monitoring.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(mdm_[a-z_]+)` \|", text, re.MULTILINE))
    assert {_family(name) for name in _shown(page)} - {_family(name) for name in listed} == set()
    assert {_family(name) for name in listed} - {_family(name) for name in _shown(page)} <= LATER
    named = re.findall(r"^\| (`[a-z_`, ]+`) \| ", text.partition("\n| stage | |\n")[2].partition("##")[0], re.MULTILINE)
    assert {name for cell in named for name in re.findall(r"`([a-z_]+)`", cell)} == set(stages.STAGES)


def test_every_stage_of_a_write_and_a_match_is_measured(page: str) -> None:
    assert set(re.findall(r'mdm_stage_seconds_count\{stage="([a-z_]+)"\}', page)) == set(stages.STAGES)


def test_no_label_holds_a_value_of_a_record(page: str) -> None:
    assert not {value for value in ("MONITORED", "Ngọc", "079187000123") if value in page}


def test_a_figure_goes_back_to_nothing(server: RunningServer, channel: grpc.Channel) -> None:
    stub = RegistryServiceStub(channel)
    waiting = citizen("MONITORED-PENDING", "Vũ Ngọc Lan", registry_name="company")
    stub.UpsertRecord(registry.UpsertRecordRequest(record=waiting, resolve=common.RESOLVE_TIME_LATER), timeout=5)
    figure = 'mdm_records{kind="citizen",registry="company",state="pending"}'
    _await_figure(server, f"{figure} 1.0")
    stub.DeleteRecord(registry.DeleteRecordRequest(key=waiting.key), timeout=5)
    _await_figure(server, f"{figure} 0.0")


def _await_figure(server: RunningServer, line: str) -> None:
    until_s = time.monotonic() + 20
    while line not in (text := _scrape(server)).splitlines():
        assert time.monotonic() < until_s, text
        time.sleep(0.2)
