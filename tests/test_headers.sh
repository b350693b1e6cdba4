#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone, twice in one file, as strict C17.
#
# usage: test_headers.sh FOLDER_OF_INCLUDE
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for header in "$1"/rpu/*.h; do
    name=rpu/$(basename "$header")
    printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$name" "$name" >"$work/alone.c"
    if ${CC:-cc} -std=c17 -Wall -Wextra -Wpedantic -Werror -I"$1" -fsyntax-only "$work/alone.c"; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        failed=1
    fi
done
exit $failed
