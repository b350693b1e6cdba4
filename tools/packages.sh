# SPDX-License-Identifier: Apache-2.0
# Sourced by quickstart.sh and test.sh: the Debian packages that they need, and how to install what is missing.
# shellcheck shell=sh

PACKAGES_BUILD='gcc libc6-dev meson ninja-build pkg-config libhwloc-dev libyaml-dev libjansson-dev zlib1g-dev libxxhash-dev'
PACKAGES_TEST='python3 python3-venv libcmocka-dev librandom123-dev clang libclang-rt-dev clang-format libomp-dev git strace g++ libbenchmark-dev libopenblas-dev
    libopenmpi-dev openmpi-bin'
# For tests that only test.sh --all runs (elsewhere they are skipped where these are missing), and for tools/report.py.
PACKAGES_REPORT='python3-matplotlib python3-jinja2'
PACKAGES_ALL="$PACKAGES_REPORT libbenchmark-tools python3-scipy chromium"
PACKAGES_ARM64='gcc-aarch64-linux-gnu qemu-user libc6-dev:arm64 libgomp1:arm64 libhwloc-dev:arm64 libyaml-dev:arm64 libjansson-dev:arm64
    zlib1g-dev:arm64 libxxhash-dev:arm64 libcmocka-dev:arm64'

# Names of those of the given packages that are not installed.
missing_packages() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || echo "$package"
    done
}

# Runs a command as root, by way of sudo where needed.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "This has to be run as root: $*" >&2
        return 1
    fi
}

# Installs what is missing of the given packages; those of a foreign architecture are named PACKAGE:ARCHITECTURE.
need_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This system has no apt. What is needed, by the names of Debian 12: $*" >&2
        echo "Continuing with what is there." >&2
        return 0
    fi
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    echo "installing: $missing"
    case $missing in
    *:arm64*) as_root dpkg --add-architecture arm64 || return 1 ;;
    esac
    as_root apt-get update -q || return 1
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}
