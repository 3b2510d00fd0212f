#!/usr/bin/env bash
# avahi-daemon.conf: the first of two equal lines counts, and "yes" is not what makes a value true.
#
# Seen with Avahi 0.8-10+deb12u1 of Debian 12 on x86-64; avahi-daemon.conf(5) says of such a value
# that it is "yes" or "no":
# - a line that is added below another of the same name, or in a second [server] group, has no effect;
# - a value is true if its first character is y, Y, t, T or 1, so that "tomorrow" is true, and "on"
#   and " yes", with a space after the equals sign, are false. Nothing is logged of any of them.
# Each is tried on disallow-other-stacks: Avahi ends if that is true and UDP port 5353 is in use.
# Needs root, for a network of its own. Exits with 1 if one of these is no longer so.
set -euo pipefail
version=0.8-10+deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download --quiet=2 avahi-daemon=$version libavahi-core7=$version libavahi-common3=$version libdaemon0 \
  2>"$folder/apt.log" || { cat "$folder/apt.log"; exit 1; }
for package in ./*.deb; do dpkg-deb --extract "$package" "$folder/root"; done
cat >inside.sh <<'SH'
mount -t tmpfs tmpfs /run
mkdir /run/avahi-daemon
ip link set lo up
ip link add lan0 type veth peer name lan1
ip address add 10.0.0.1/24 dev lan0
ip link set lan0 up
ip link set lan1 up
exec python3 inside.py
SH
cat >inside.py <<'PYTHON'
import glob
import os
import socket
import subprocess

libraries = os.path.dirname(glob.glob("root/usr/lib/*/libavahi-core.so.7")[0])
environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
shared = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
shared.bind(("", 5353))


def insists(lines):
    with open("conf", "w") as conf:
        conf.write("[server]\nenable-dbus=no\nuse-ipv6=no\nallow-interfaces=lan0\n" + lines)
    program = ["root/usr/sbin/avahi-daemon", "--file=conf", "--no-drop-root", "--no-chroot"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as avahi:
        for line in avahi.stdout:
            assert "nvalid" not in line, line
            if "startup complete" in line:
                avahi.terminate()
                return False
    return True


KEY = "disallow-other-stacks"
seen = {}
for lines, told in {
    f"{KEY}=yes\n": True,
    f"{KEY}=no\n": False,
    f"{KEY}=yes\n{KEY}=no\n": True,
    f"{KEY}=no\n{KEY}=yes\n": False,
    f"{KEY}=no\n[server]\n{KEY}=yes\n": False,
    f"{KEY}=tomorrow\n": True,
    f"{KEY}=on\n": False,
    f"{KEY}= yes\n": False,
}.items():
    seen[lines] = insists(lines)
    print(f"{'true ' if seen[lines] else 'false'} {lines!r}")
    assert seen[lines] == told
PYTHON
unshare --net --mount --propagation private sh -e inside.sh
echo "as it was seen"
