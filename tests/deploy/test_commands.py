from __future__ import annotations

import pytest

from tests.deploy.commands import faults


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("/opt/hcm-mdm/bin/mdm serve --config /etc/mdm/serve.toml", []),
        ("mdm serve --confg=/etc/mdm/serve.toml", ["mdm serve has no option --confg"]),
        ("mdm relink --max-churn 0.5 --json", []),
        ("mdm relink plan --json", []),
        ("mdm load %i /srv/feeds/%i.csv --jsn", ["mdm load has no option --jsn"]),
        ("mdm load revert LOAD_ID --dry-run", []),
        ("mdm lod x", ["mdm has no command lod"]),
        ("mdm health --tls-ca ca.crt", []),
        ("/bin/sh -c mdm", ["/bin/sh is not mdm"]),
    ],
)
def test_the_check_finds_what_the_command_line_lacks(line: str, found: list[str]) -> None:
    assert faults(line) == found
