from __future__ import annotations

import pytest

from mdm.config import Configuration
from mdm.domain.keys import EntityKind
from mdm.domain.survivorship_rules import FIELDS, MEASURABLE, Criterion, SurvivorshipRules
from mdm.errors import ConfigurationError

BUSINESS = '[business]\ndefault = ["trust"]\n'


def parsed(citizen: str) -> SurvivorshipRules:
    return SurvivorshipRules.parse((citizen + "\n" + BUSINESS).encode())


def test_a_field_has_its_own_criteria_or_those_of_its_kind() -> None:
    rules = parsed('[citizen]\ndefault = ["trust", "recency"]\n[citizen.fields]\nfull_name = ["completeness", "trust"]')
    citizen = rules.kinds[EntityKind.CITIZEN]
    assert citizen.criteria("full_name") == (Criterion.COMPLETENESS, Criterion.TRUST)
    assert citizen.criteria("sex") == (Criterion.TRUST, Criterion.RECENCY)
    assert rules.kinds[EntityKind.BUSINESS].criteria("legal_name") == (Criterion.TRUST,)


BAD = [
    ("[citizen", "survivorship", "is no TOML"),
    ("a = " + "[\n" * 40_000, "survivorship", "must not nest so deeply"),
    (".".join("a" * 20_000) + " = 1", "survivorship", "must have lines of at most 2000 bytes"),
    ('[citizens]\ndefault = ["trust"]', "citizens", "must be one of citizen, business"),
    ("", "citizen", "must be a table"),
    ("[citizen]", "citizen.default", "must list the criteria"),
    ("[citizen]\ndefault = []", "citizen.default", "must be a list of completeness, trust, recency or frequency"),
    ('[citizen]\ndefault = "trust"', "citizen.default", "must be a list"),
    ('[citizen]\ndefault = ["newest"]', "citizen.default", "completeness, trust, recency or frequency"),
    ('[citizen]\ndefault = ["trust", "trust"]', "citizen.default", "must list each criterion once"),
    ('[citizen]\ndefault = ["pinned", "trust"]', "citizen.default", "always comes first"),
    ('[citizen]\ndefault = ["completeness"]', "citizen.default", "may list completeness for"),
    ('[citizen]\ndefault = ["trust"]\nweights = 1', "citizen.weights", "must be one of default, fields, trust"),
    ('[citizen]\ndefault = ["trust"]\nfields = 3', "citizen.fields", "must be a table of fields"),
    (
        '[citizen]\ndefault = ["trust"]\n[citizen.fields]\nname = ["trust"]',
        "citizen.fields.name",
        "must be one of full_",
    ),
    ('[citizen]\ndefault = ["trust"]\n[citizen.fields]\nsex = ["completeness"]', "citizen.fields.sex", "may list"),
    ('[citizen]\ndefault = ["trust"]\n[citizen.trust]\nsex = []', "citizen.trust.sex", "must be a list of registries"),
    ('[citizen]\ndefault = ["trust"]\n[citizen.trust]\nsex = ["a", "a"]', "citizen.trust.sex", "each registry once"),
    ('[citizen]\ndefault = ["recency"]\n[citizen.trust]\nsex = ["hospital"]', "citizen.trust.sex", "has no effect"),
]


@pytest.mark.parametrize(("text", "field", "rule"), BAD, ids=[f"{case[1]}: {case[2]}" for case in BAD])
def test_a_file_that_breaks_a_rule_is_refused_with_field_and_rule(text: str, field: str, rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(text)
    assert caught.value.field == field
    assert rule in caught.value.rule


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="UTF-8"):
        SurvivorshipRules.parse("# trước\n".encode("utf-16"))


@pytest.mark.parametrize("registry", ["hospitals", "company.x", "household"])
def test_a_registry_that_holds_no_such_records_is_refused(registry: str) -> None:
    body = f'[citizen]\ndefault = ["trust"]\n[business]\ndefault = ["trust"]\n[business.trust]\nform = ["{registry}"]'
    rules = SurvivorshipRules.parse(body.encode())
    with pytest.raises(ConfigurationError, match=r"business\.trust\.form: must name registries of business records"):
        rules.check(Configuration.load(None))


def test_what_can_be_more_complete_is_a_field_of_a_record() -> None:
    assert set(FIELDS[EntityKind.CITIZEN]) | set(FIELDS[EntityKind.BUSINESS]) >= MEASURABLE
