"""A fifth registry as tests declare it."""

from __future__ import annotations

LAND = """
[registries.land]
title = "Land-use right holders"
trust_rank = 5

[[registries.land.feeds.holders.records]]
kind = "citizen"
when = { column = "holder_type", one_of = ["1"] }
phones = ["phone"]
identifiers = [
    { type = "personal_id", column = "document_no", assurance = "sighted" },
    { type = "passport", column = "passport_no", assurance = "sighted" },
]
addresses = [{ kind = "contact", text = ["house", "street"] }]
fields = { full_name = "holder_name", birth_date = ["day", "month", "year"], sex = "gender" }
translations = { sex = { nam = "M", "nữ" = "F" } }

[[registries.land.feeds.holders.records]]
kind = "citizen"
when = { column = "holder_type", one_of = ["2"] }
required = "agent_name"
identifiers = [{ type = "personal_id", column = "agent_id", assurance = "stated" }]
fields = { full_name = "agent_name", birth_date = "agent_birth_date" }

[[registries.land.feeds.holders.records]]
kind = "business"
when = { column = "holder_type", one_of = ["2"] }
identifiers = [{ type = "tax_code", column = "document_no", assurance = "sighted" }]
relations = [{ type = "legal_representative", name = "agent_name", is_same_record_id = true }]
fields = { legal_name = "holder_name" }
"""
