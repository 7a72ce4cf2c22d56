#!/bin/sh
# Makes the folders and files that apt and dpkg need in the new root before there is any package,
# and reads the package lists. Runs with the host's tools; nothing of a package is there yet.
# Arguments: architecture, lines of sources.list, options of apt-get.
set -eu
umask 022
cd /target
for folder in etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d etc/dpkg/dpkg.cfg.d \
    tmp var/cache/apt var/lib/apt/lists/partial var/lib/dpkg/alternatives var/lib/dpkg/info \
    var/lib/dpkg/triggers var/lib/dpkg/updates var/log/apt; do
    mkdir -p "$folder"
done
chmod 1777 tmp
: >var/lib/dpkg/status
echo "$1" >var/lib/dpkg/arch
echo force-unsafe-io >etc/dpkg/dpkg.cfg.d/99rebuilder
echo '# UNCONFIGURED FSTAB FOR BASE SYSTEM' >etc/fstab
echo localhost >etc/hostname
printf %s "$2" >etc/apt/sources.list
cp /etc/apt/rebuilder.gpg etc/apt/rebuilder.gpg
shift 2
exec apt-get -q update "$@"
