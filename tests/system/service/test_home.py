"""The service of somebody who has the source and a model in a home that nobody else may enter."""

from __future__ import annotations

import pytest

from tests.parts.debian import VENV
from tests.parts.netns import Machine
from tests.parts.network import network_of
from tests.parts.phone import connected, long_chat
from tests.parts.service import MODEL, SOURCE, Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200, func_only=True)]

HOME = "/home/ada"

# As after a copy of the source and `make` in it.
MOVE = f"""
mkdir -p {HOME}/inglenook {HOME}/models
cp -a {SOURCE}/src {SOURCE}/systemd {HOME}/inglenook/
mv {VENV} {HOME}/inglenook/.venv
cd {HOME}/inglenook/.venv/lib/python3*/site-packages
rm -r inglenook
echo {HOME}/inglenook/src > inglenook.pth
cp {MODEL} {HOME}/models/
echo secret > {HOME}/diary
useradd --home-dir {HOME} ada
chown -R ada: {HOME}
chmod 700 {HOME}
"""


async def test_a_checkout_and_a_model_in_a_closed_home_are_all_the_service_sees_of_it(
    service: Service, phone: Machine
) -> None:
    """It answers from there; what else is in the home it cannot name."""
    service.container.run("sh", "-euc", MOVE)
    service.venv = f"{HOME}/inglenook/.venv"
    model = f"{HOME}/models/{MODEL.rpartition('/')[2]}"

    service.install(model={"path": model, "context": 2048})

    token = service.add_device("Phone")
    with network_of(phone):
        async with connected(service.url, token) as asking:
            assert (await asking.ask(long_chat(2))).done is not None
    inside = f"/proc/{service.pid}/root{HOME}"
    assert service.container.run("ls", f"{inside}/models").split() == [model.rpartition("/")[2]]
    assert service.container.run("ls", inside).split() == ["inglenook", "models"]
    owner = service.container.run("stat", "--format=%U", f"/proc/{service.pid}").strip()
    assert owner == "inglenook"
