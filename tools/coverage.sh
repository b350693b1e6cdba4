#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which lines of src/ and kernels/generic the tests reach: builds in build-coverage/, runs every suite but `house`, and
# writes the report of gcovr as text (build-coverage/coverage.txt) and as pages (build-coverage/coverage/index.html). Fails
# below 90 % of the lines of either folder.
#
# usage: tools/coverage.sh [OPTION OF meson test]...      such as --suite unit: a part of the tests
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh
LEAST=90
folder=build-coverage

command -v gcovr >/dev/null || need_packages gcovr
[ -f $folder/build.ninja ] || meson setup $folder -Dtests=true -Dbench=disabled -Dbuildtype=debugoptimized \
    -Db_coverage=true -Dwerror=false
ninja -C $folder
find $folder -name '*.gcda' -delete
code=0
meson test -C $folder --no-rebuild --timeout-multiplier 4 --no-suite house "$@" || code=$?

# report FOLDER OPTION...: gcovr on one folder of the tree. src/dist_mpi.c and what is generated are left to the others.
report() {
    local part=$1
    shift
    gcovr --root . --object-directory $folder --filter "$part/" --exclude-unreachable-branches \
        --exclude-throw-branches "$@" $folder
}
mkdir -p $folder/coverage
report src --html-details $folder/coverage/src.html
report kernels/generic --html-details $folder/coverage/kernels.html
for part in src kernels/generic; do
    report $part --fail-under-line $LEAST | tee $folder/coverage.part || { echo "$part: below $LEAST %"; code=1; }
    cat $folder/coverage.part
done >$folder/coverage.txt
grep -E '^(File|src|kernels|TOTAL|.*below)' $folder/coverage.txt
exit $code
