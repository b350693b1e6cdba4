#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the commit of the source tree at $1, with "-dirty" when tracked files were changed; "unknown" when the tree is
# not the root of a repository (a release archive unpacked inside somebody else's repository must not take its commit).
set -eu
root=$(cd "$1" && pwd -P)
if top=$(git -C "$root" rev-parse --show-toplevel 2>/dev/null) && [ "$top" = "$root" ] &&
    commit=$(git -C "$root" describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null); then
    echo "$commit"
else
    echo unknown
fi
