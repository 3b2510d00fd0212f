#!/usr/bin/env bash
# python-zeroconf does not answer a question for any record (ANY) of a host name that it announces.
#
# RFC 6762 section 8.1 has whoever wants a name ask for ANY of it. Seen with zeroconf 0.154.0 on
# Linux x86-64, Python 3.11: of a service it answers ANY of the instance's name; of the host it
# answers A, and to ANY says nothing. So by such a question its host name seems to be free.
# Exits with 1 if this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet zeroconf==0.154.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import secrets
import socket

from zeroconf import DNSIncoming, DNSOutgoing, DNSQuestion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

TYPE, GROUP = "_example._tcp.local.", "224.0.0.251"
A, ANY, IN = 1, 255, 1
mark = secrets.token_hex(4)
INSTANCE, HOST = f"Example {mark}.{TYPE}", f"example-{mark}.local."


async def answers(sock: socket.socket, name: str, kind: int) -> set[int]:
    """Ask from a port of our own, so that the answer comes to us alone; gives its records' types."""
    out = DNSOutgoing(0, id_=secrets.randbelow(65536))
    out.add_question(DNSQuestion(name, kind, IN))
    sock.sendto(out.packets()[0], (GROUP, 5353))
    try:
        async with asyncio.timeout(3):
            packet = await asyncio.get_running_loop().sock_recv(sock, 9000)
    except TimeoutError:
        return set()
    return {record.type for record in DNSIncoming(packet).answers() if record.name == name}


async def main() -> None:
    responder = AsyncZeroconf(interfaces=["127.0.0.1"])
    info = AsyncServiceInfo(
        TYPE, INSTANCE, port=80, server=HOST, parsed_addresses=["192.0.2.9"], properties={}
    )
    await (await responder.async_register_service(info))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
        )
        seen = {
            "ANY of the instance": await answers(sock, INSTANCE, ANY),
            "A of the host": await answers(sock, HOST, A),
            "ANY of the host": await answers(sock, HOST, ANY),
        }
    await responder.async_close()
    for question, types in seen.items():
        print(f"{question}: {sorted(types) or 'no answer'}")
    assert seen["ANY of the instance"] and A in seen["A of the host"], "it answers nothing here"
    assert not seen["ANY of the host"], "it answers ANY of the host"


asyncio.run(main())
PYTHON
