#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All C outside kernels/ (where tables and loop nests are laid out by hand) is formatted as .clang-format says.
#
# usage: test_format.sh ROOT
set -eu
if ! command -v clang-format >/dev/null; then
    echo "skipped: clang-format is not installed"
    exit 77
fi
cd "$1"
for folder in include src tools tests bench; do
    [ ! -d "$folder" ] || find "$folder" \( -name '*.c' -o -name '*.h' \) -print0
done | xargs -0 clang-format --dry-run --Werror
