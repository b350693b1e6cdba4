#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets of tests/fuzz/ with clang, libFuzzer and the sanitizers for addresses and undefined behaviour,
# and runs them, two at a time. Each begins with its seeds and with what earlier runs found (build-fuzz/corpus/TARGET).
#
# Prints for each target the covered edges of this project's code (targets and kernels do not count), inputs, and the
# seconds; the table is kept in build-fuzz/fuzz.txt. Fails where an input crashes, leaks, allocates more than 64 MiB at
# once or takes more than 25 s, and where a target covers fewer than 200 edges. What fails lies in build-fuzz/found/, and
# build-fuzz/tests/fuzz/fuzz_TARGET FILE runs it again.
#
# usage: tools/fuzz.sh [--seconds N] [TARGET...]     N: of each target, default 30; targets: default all
set -euo pipefail
cd "$(dirname "$0")/.."
EDGES_LEAST=200
AT_ONCE=2
folder=build-fuzz
seconds=30

while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:?}; shift 2 ;;
    -*) sed -n '/^# usage/s/^# //p' "$0" >&2; exit 2 ;;
    *) break ;;
    esac
done

build() {
    if [ ! -f $folder/build.ninja ]; then
        CC=clang meson setup $folder -Dfuzz=true -Dtests=true -Dbench=disabled -Dmpi=disabled \
            -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false
    fi
    ninja -C $folder fuzz-targets
}

dictionary() {
    case $1 in
    config | set | sweep) echo -dict=tests/fuzz/yaml.dict ;;
    compare) echo -dict=tests/fuzz/json.dict ;;
    checkpoint) echo -dict=tests/fuzz/checkpoint.dict ;;
    cli) echo -dict=tests/fuzz/cli.dict ;;
    esac
}

# One target; its last line of statistics goes to build-fuzz/logs/TARGET.
fuzz() {
    local target=$1 corpus=$folder/corpus/$1 seeds=(tests/fuzz/seeds/"$1")
    [ "$target" != config ] || seeds+=(src/presets)
    mkdir -p "$corpus" $folder/logs $folder/found
    # shellcheck disable=SC2046
    ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        $folder/tests/fuzz/fuzz_"$target" "$corpus" "${seeds[@]}" -max_total_time="$seconds" -timeout=25 \
        -malloc_limit_mb=64 -rss_limit_mb=2048 -close_fd_mask=1 -print_final_stats=1 -max_len=16384 \
        -artifact_prefix=$folder/found/"$target"- $(dictionary "$target") </dev/null >$folder/logs/"$target" 2>&1
}

# The table's line of a target; 1 when it failed.
report() {
    local target=$1 code=$2 log=$folder/logs/$1 edges runs bad=''
    edges=$(sed -n 's/^#[0-9]*[[:space:]].* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [ "$code" -eq 0 ] || bad="failed, see $log"
    [ "${edges:-0}" -ge $EDGES_LEAST ] || bad="${bad:+$bad; }fewer than $EDGES_LEAST edges"
    printf '%-12s %6s edges %10s inputs %5s s  %s\n' "$target" "${edges:--}" "${runs:--}" "$seconds" "${bad:-clean}"
    [ -z "$bad" ]
}

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for seeds in tests/fuzz/seeds/*/; do
        targets+=("$(basename "$seeds")")
    done
fi
rm -f $folder/fuzz.txt
build >$folder.log 2>&1 || { tail -n 40 $folder.log; exit 1; }
mv $folder.log $folder/build.log

bad=0
for ((i = 0; i < ${#targets[@]}; i += AT_ONCE)); do
    batch=("${targets[@]:i:AT_ONCE}")
    pids=()
    for target in "${batch[@]}"; do
        fuzz "$target" &
        pids+=($!)
    done
    for k in "${!batch[@]}"; do
        code=0
        wait "${pids[k]}" || code=$?
        report "${batch[k]}" $code | tee -a $folder/fuzz.txt || bad=1
        [ $code -eq 0 ] || tail -n 30 $folder/logs/"${batch[k]}"
    done
done
exit $bad
