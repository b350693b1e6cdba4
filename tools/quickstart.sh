#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 to a trained network: installs what is missing, builds into build/, trains the preset lenet-rpu
# on generated digits, and prints the error and the throughput of each cycle of each array.
#
# usage: tools/quickstart.sh [OPTION OF rpubench train]...
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
. "$root/tools/packages.sh"

# shellcheck disable=SC2086
need_packages $PACKAGES_BUILD
# Warnings are for developers: those of a compiler newer than this must not end the build.
if [ ! -f "$root/build/build.ninja" ]; then
    meson setup "$root/build" "$root" --buildtype=release -Dtests=false -Dbench=disabled -Dwerror=false
fi
ninja -C "$root/build"
exec "$root/build/rpubench" train lenet-rpu --data digits --limit-train 10000 --limit-test 2000 --epochs 1 \
    --threads 1 "$@"
