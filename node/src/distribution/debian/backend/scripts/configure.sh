#!/bin/sh
# Installs what was unpacked properly, then apt and what it needs; inside the new root. Dependencies
# cannot be held to yet: everything needs everything else here. Arguments: apt's configuration, the
# number of essential packages, their files, the files of the others.
set -eu
printf %s "$1" >/etc/apt/apt.conf.d/99rebuilder
count=$2
shift 2
# Removed at the end: nothing that is installed here is to start.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
essential=
while [ "$count" -gt 0 ]; do
    essential="$essential $1"
    shift
    count=$((count - 1))
done
# shellcheck disable=SC2086 # the names have no blanks
dpkg --install --force-depends $essential
dpkg --install --force-depends "$@"
for deb; do
    name=${deb##*/}
    name=${name%%_*}
    # What apt would have noted had it installed itself.
    [ "$name" = apt ] || apt-mark -qq auto "$name"
done
