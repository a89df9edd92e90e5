"""The people whom the documents name by their registries' keys, as rows of feeds; everybody is invented."""

from __future__ import annotations

PEOPLE = {
    "hospital.patients": (
        {"record_id": "BV006.26.106204", "full_name": "Nguyễn Thị Tuyết", "birth_date": "04/10/1989"},
    ),
    "household.residents": (
        {"record_id": "DC4112795390", "full_name": "ĐÀNG BINTI ALI", "birth_date": "1969-02-11"}
        | {"household_id": "HK79415543058", "relation_to_head": "chủ hộ"},
        {"record_id": "DC0293135277", "full_name": "KA DU SỐ", "birth_date": "1994-12-30"}
        | {"household_id": "HK79415543058", "relation_to_head": "con đẻ", "mother_name": "ĐÀNG BINTI ALI"},
    ),
}
