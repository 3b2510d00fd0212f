"""What a start finds: of the box's addresses, all."""

from __future__ import annotations

from ipaddress import ip_interface
from pathlib import Path

from inglenook.auth.identity_files import RememberedNames
from inglenook.auth.network import AddressScope, OwnAddress
from inglenook.config import Config
from inglenook.daemon.start import certificate_subject, read_addresses
from inglenook.discovery.interfaces import LinkKind, list_own_addresses


def test_the_guard_gets_every_address_of_the_machine() -> None:
    """Not those that are announced: of these the loopback is none."""
    found = read_addresses()

    assert OwnAddress(ip_interface("127.0.0.1/8"), AddressScope.LOOPBACK) in found
    assert len(found) == len(list_own_addresses())


def test_every_kind_of_interface_has_its_rule() -> None:
    """Rooms do not know each other's words; here they are the same."""
    assert [kind.value for kind in LinkKind] == [link.value for link in AddressScope]


def test_the_certificate_is_for_what_devices_may_call() -> None:
    """Its name, and addresses at home and in tunnels; no container's."""
    subject = certificate_subject(Config("Kitchen", Path("/state")), "ab12cd34")

    assert "kitchen-ab12.local" in subject.names
    usable = {own.interface.ip for own in read_addresses() if own.is_for_devices}
    assert set(subject.addresses) == usable


def test_the_certificate_is_for_the_host_name_that_is_held(tmp_path: Path) -> None:
    """Another device may have the one that follows from the box's name, and phones kept this."""
    RememberedNames(tmp_path).remember("Kitchen", "Kitchen-2", "kitchen-ab12-2")

    names = certificate_subject(Config("Kitchen", tmp_path), "ab12cd34").names

    assert {"kitchen-ab12.local", "kitchen-ab12-2.local"} <= set(names)
    assert len(names) == len(set(names))
