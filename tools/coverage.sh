#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which lines of src/ and kernels/generic the tests reach: builds in build-coverage/, runs every suite but `house`, and
# writes gcovr's report as text (build-coverage/coverage.txt) and as pages (build-coverage/pages/src.html, generic.html).
# Fails where a test fails, and below 90 % of the lines of either folder.
#
# usage: tools/coverage.sh [--report] [OPTION OF meson test]...
#   --report  no tests: the report of those that have been run since the build
#   options   such as --suite unit: some of the tests, added to what has been run
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/packages.sh
LEAST=90
folder=build-coverage
code=0

command -v gcovr >/dev/null || need_packages gcovr
[ -f $folder/build.ninja ] || meson setup $folder -Dtests=true -Dbench=disabled -Dbuildtype=debugoptimized \
    -Db_coverage=true -Dwerror=false
if [ "${1:-}" != --report ]; then
    ninja -C $folder
    [ $# -gt 0 ] || find $folder -name '*.gcda' -delete
    meson test -C $folder --no-rebuild --timeout-multiplier 4 --no-suite house "$@" || code=$?
fi

# Counters of several threads may come out wrong (even negative, which gcovr takes for an error), but not as 0.
mkdir -p $folder/pages
: >$folder/coverage.txt
for part in src kernels/generic; do
    gcovr --root . --object-directory $folder --filter "$part/" --gcov-ignore-parse-errors --fail-under-line $LEAST \
        --txt $folder/part.txt --html-details $folder/pages/"$(basename $part)".html $folder >$folder/gcovr.log 2>&1 ||
        { tail -n 5 $folder/gcovr.log; code=1; }
    cat $folder/part.txt >>$folder/coverage.txt
    echo "$part: $(sed -n 's/^TOTAL *//p' $folder/coverage.txt | tail -n 1) (lines, reached, share)"
done
exit $code
