#!/bin/sh
# Prints the files of the packages in the order in which apt would have dpkg unpack them: apt does
# everything as always, but for calling dpkg. Arguments: what to install.
set -eu
exec 3>&1 >/dev/null
exec apt-get -qq --yes --no-download -o Debug::pkgDpkgPm=1 -o Dir::Log=/dev/null \
    -o Debug::NoLocking=1 -o APT::Keep-Fds::=3 -o "DPkg::Tools::options::'cat >&3'::InfoFD=3" \
    -o 'Dpkg::Pre-Install-Pkgs::=cat >&3' install "$@"
