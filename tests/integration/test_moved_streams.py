"""Streams of a release that used NATS' global account are those of the account ARMONIK after an upgrade."""

import re
import subprocess
import textwrap
from pathlib import Path

import nats
import pytest
from servers import PASSWORD, NatsServer

from armonik_sdk.api.names import JOURNAL
from armonik_sdk.dataplane.nats.streams import ensure

pytestmark = pytest.mark.integration
TEMPLATE = Path(__file__).parents[2] / "charts/armonik/templates/nats/statefulset.yaml"


def move(data: Path) -> None:
    """Run the init container's script on another folder than the pod's."""
    found = re.search(r"name: move-streams.*?- \|\n(.*?)\n +resources:", TEMPLATE.read_text(), re.DOTALL)
    assert found
    script = textwrap.dedent(found[1])
    assert "cd /data\n" in script
    subprocess.run(["sh", "-ec", script.replace("cd /data\n", f"cd {data}\n")], check=True)


async def test_an_upgrade_keeps_the_streams_of_the_global_account(nats_server: NatsServer) -> None:
    nats_server.stop()
    accounts = (nats_server.folder / "auth.conf").read_text()
    user = f'authorization {{ users: [ {{ user: "operator", password: "{PASSWORD}" }} ] }}\n'
    (nats_server.folder / "auth.conf").write_text(user)
    nats_server.start()
    old = await nats.connect(nats_server.url, user="operator", password=PASSWORD)
    await ensure(old)
    await old.jetstream().publish("armonik.journal.ns.session.task.0", b"kept")
    await old.close()
    nats_server.stop()
    assert (nats_server.folder / "data/jetstream/$G").is_dir()

    (nats_server.folder / "auth.conf").write_text(accounts)
    move(nats_server.folder / "data")
    nats_server.start()
    new = await nats.connect(nats_server.url, user="operator", password=PASSWORD)
    await ensure(new)
    kept = await new.jetstream().get_last_msg(JOURNAL, "armonik.journal.ns.session.task.0")
    assert kept.data == b"kept"
    await new.close()


def test_nothing_is_moved_twice_or_over_what_is_there(tmp_path: Path) -> None:
    move(tmp_path)
    assert list(tmp_path.iterdir()) == []
    for account in ("$G", "ARMONIK"):
        (tmp_path / "jetstream" / account).mkdir(parents=True)
        (tmp_path / "jetstream" / account / "whose").write_text(account)
    move(tmp_path)
    assert (tmp_path / "jetstream/ARMONIK/whose").read_text() == "ARMONIK"
