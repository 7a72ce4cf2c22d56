#!/bin/sh
# Everything an attempt would otherwise do again and again (the builder's account, apt's cache), and
# away with what is of this run only; inside the new root.
set -eu
echo 'builder:x:1000:1000::/nonexistent:/bin/sh' >>/etc/passwd
echo 'builder:x:1000:' >>/etc/group
echo 'builder:!:1::::::' >>/etc/shadow
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >/etc/hosts
mkdir -p /build
rm -f /etc/resolv.conf /usr/sbin/policy-rc.d /var/cache/ldconfig/aux-cache /var/lib/dbus/machine-id
rm -f /var/lib/man-db/auto-update /var/log/alternatives.log /var/log/dpkg.log
rm -f /var/log/apt/eipp.log.xz /var/log/apt/history.log /var/log/apt/term.log
if [ -e /etc/machine-id ]; then
    rm /etc/machine-id
    : >/etc/machine-id
fi
mkdir -p /var/cache/apt/archives/partial
: >/var/cache/apt/archives/lock
chmod 640 /var/cache/apt/archives/lock
chmod 700 /var/cache/apt/archives/partial
chown _apt:root /var/cache/apt/archives/partial
# /var/lock leads into /run.
find /run -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
find /tmp -mindepth 1 -maxdepth 1 -exec rm -rf {} +
apt-cache gencaches
