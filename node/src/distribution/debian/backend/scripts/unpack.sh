#!/bin/sh
# Unpacks the first packages with the host's tools, without running anything of them: the new root
# then has a shell and a dpkg of its own. dpkg-deb --extract would put folders where the root has
# links (/bin). Arguments: files of the packages.
set -eu
umask 022
for deb; do
    { dpkg-deb --fsys-tarfile "$deb" || : >/tmp/damaged; } |
        tar -C /target --keep-directory-symlink --extract --file -
    if [ -e /tmp/damaged ]; then
        echo "E: $deb cannot be unpacked"
        exit 1
    fi
done
