#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, runs the tests (--all: emulation and fuzzing, too), and ends with a line "N passed, N
# failed, N skipped". The exit code is 0 exactly when none failed.
#
# usage: tools/test.sh [--all]    --all: everything that continuous integration runs
#
# A stage is a function stage_NAME below; it reports each of its tests with `passed`, `failed` or `skipped`, or leaves
# that to `run_meson_tests`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
. tools/packages.sh
work=$(mktemp -d)
trap finish EXIT
unset RPU_ISA
counts=$work/counts
: >"$counts"
complete=no
all=no

STAGES='install build unit clang sanitize thread'
STAGES_ALL="$STAGES fuzz arm64"

passed() { echo "passed $1" >>"$counts"; }
failed() { echo "failed $1" >>"$counts"; echo "FAILED: $1"; }
skipped() { echo "skipped $1" >>"$counts"; echo "SKIPPED: $1"; }

# Tests write and sync small files by the thousand: in memory, where there is room and programs may be run, unless
# TMPDIR says where.
files_in_memory() {
    local program
    [ -z "${TMPDIR:-}" ] || return 0
    [ "$(df --output=avail --block-size=1M /dev/shm 2>/dev/null | tail -n 1)" -ge 4096 ] 2>/dev/null || return 0
    program=$(mktemp /dev/shm/rpubench-XXXXXX) || return 0
    printf '#!/bin/sh\n' >"$program" && chmod +x "$program" && "$program" 2>/dev/null && export TMPDIR=/dev/shm
    rm -f "$program"
}

# The last words, whatever happened before.
finish() {
    [ "$complete" = yes ] || failed "tools/test.sh ran to its end"
    local n_passed n_failed n_skipped
    n_passed=$(grep -c '^passed ' "$counts" || true)
    n_failed=$(grep -c '^failed ' "$counts" || true)
    n_skipped=$(grep -c '^skipped ' "$counts" || true)
    grep '^failed ' "$counts" || true
    grep '^skipped ' "$counts" || true
    rm -rf "$work"
    echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
    [ "$n_failed" -eq 0 ] || exit 1
}

# Sets up or adjusts a build folder: configure FOLDER OPTION...
configure() {
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        [ "${1:-}" != --cross-file ] || shift 2
        meson configure "$folder" "$@"
    else
        meson setup "$folder" "$@"
    fi
}

# Configures and builds; the outcome counts as one test: build_in FOLDER OPTION...
build_in() {
    local folder=$1
    if { configure "$@" && ninja -C "$folder"; } >"$work/log" 2>&1; then
        passed "$folder compiles"
    else
        tail -n 60 "$work/log"
        failed "$folder compiles"
        return 1
    fi
}

# Runs the tests of a build folder: run_meson_tests FOLDER [OPTION OF meson test]...
run_meson_tests() {
    local folder=$1
    shift
    rm -f "$folder/meson-logs/testlog.json"
    meson test -C "$folder" --no-rebuild "$@" >"$work/log" 2>&1 || true
    if [ -s "$folder/meson-logs/testlog.json" ]; then
        /usr/bin/python3 tools/test_counts.py "$folder" "$folder/meson-logs/testlog.json" "$counts"
    else
        tail -n 40 "$work/log"
        failed "$folder: tests run"
    fi
}

stage_install() {
    # shellcheck disable=SC2086
    need_packages $PACKAGES_BUILD $PACKAGES_TEST || return 1
    # What the tests of reports and comparisons take: some hundred megabytes.
    # shellcheck disable=SC2086
    [ "$all" = no ] || need_packages $PACKAGES_ALL || skipped "install: packages of --all"
}

stage_build() {
    build_in build -Dtests=true -Dbench=auto -Dbuildtype=release -Dwerror=true
}

stage_unit() {
    [ -f build/build.ninja ] && run_meson_tests build
}

# The other compiler: no warnings, and the same weights.
stage_clang() {
    command -v clang >/dev/null || { skipped "clang: not installed"; return; }
    CC=clang build_in build-clang -Dtests=true -Dbench=disabled -Dbuildtype=release || return 0
    local options='train lenet-rpu --data digits --limit-train 60 --limit-test 20 --epochs 1 --quiet --json -'
    # shellcheck disable=SC2086
    if build/rpubench $options >"$work/gcc" && build-clang/rpubench $options >"$work/clang" &&
        [ "$(grep weights_digest "$work/gcc")" = "$(grep weights_digest "$work/clang")" ]; then
        passed "both compilers give the same weights"
    else
        grep -H weights_digest "$work/gcc" "$work/clang" || true
        failed "both compilers give the same weights"
    fi
}

# Warnings are left to the other builds: instrumented code makes gcc see some that are not there.
stage_sanitize() {
    build_in build-sanitize -Dtests=true -Dbench=disabled -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false -Dwerror=false || return 0
    ASAN_OPTIONS=halt_on_error=1:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        run_meson_tests build-sanitize --timeout-multiplier 8 --no-suite house --no-suite trainings --no-suite scripts
}

# race_free WHAT ARGUMENT...: the instrumented program, on as many ranks as `ranks` says, if it does.
race_free() {
    local what=$1 launcher=()
    shift
    [ -z "${ranks:-}" ] || launcher=(mpirun --oversubscribe --bind-to none -n "$ranks")
    if "${launcher[@]}" build-thread/rpubench "$@" >"$work/log" 2>&1; then
        passed "$what, has no races"
    else
        tail -n 40 "$work/log"
        failed "$what, has no races"
    fi
}

# Races: the scheduler's tests, arrays and networks with several threads, short trainings and sweeps, in one process and on
# two ranks. The runtimes of OpenMP and MPI are not instrumented, and what happens within them is none of ours.
stage_thread() {
    command -v clang >/dev/null || { skipped "thread: clang is not installed"; return; }
    CC=clang build_in build-thread -Dtests=true -Dbench=disabled -Dbuildtype=debugoptimized -Db_sanitize=thread \
        -Db_lundef=false -Dwerror=false || return 0
    export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1
    run_meson_tests build-thread --timeout-multiplier 8 sched array copies pass network exchange api
    local small='--data digits --limit-train 60 --limit-test 20 --epochs 1 --quiet' batch
    printf 'seeds: [1, 2, 3]\n' >"$work/sweep.yaml"
    # shellcheck disable=SC2086
    for batch in 1 8; do
        race_free "a training with three threads, batch $batch" train $small --threads 3 --batch $batch
    done
    # shellcheck disable=SC2086
    race_free "a sweep, two trainings of two threads at a time" sweep $small --threads 2 --jobs 2 \
        --out "$work/sweep" "$work/sweep.yaml"
    if command -v mpirun >/dev/null && grep -q dist_mpi build-thread/build.ninja; then
        # as root, and without a system call that containers forbid
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
        # shellcheck disable=SC2086
        ranks=2 race_free "a training of two threads on each of two ranks" train $small --threads 2 --batch 8
        # shellcheck disable=SC2086
        ranks=2 race_free "a sweep on two ranks of two threads" sweep $small --threads 2 \
            --out "$work/sweep-ranks" "$work/sweep.yaml"
    else
        skipped "thread: two ranks; there is no MPI"
    fi
    unset TSAN_OPTIONS
}

# Hostile input: half a minute of each fuzz target.
stage_fuzz() {
    command -v clang >/dev/null || { skipped "fuzz: clang is not installed"; return; }
    local target edges rest
    tools/fuzz.sh --seconds 30 >"$work/fuzz" 2>&1 || true
    cat "$work/fuzz"
    [ -s build-fuzz/fuzz.txt ] || { failed "build-fuzz compiles"; return; }
    while read -r target edges rest; do
        case $rest in
        *' clean') passed "fuzz: $target, $edges edges" ;;
        *) failed "fuzz: $target" ;;
        esac
    done <build-fuzz/fuzz.txt
    for target in tests/fuzz/seeds/*/; do
        target=$(basename "$target")
        grep -q "^$target " build-fuzz/fuzz.txt || failed "fuzz: $target: no line in build-fuzz/fuzz.txt"
    done
}

# Other processors, by QEMU: NEON kernels, and x86 without AVX2.
stage_arm64() {
    # shellcheck disable=SC2086
    need_packages $PACKAGES_ARM64 || { skipped "arm64: packages are missing"; return; }
    build_in build-arm64 --cross-file tools/cross/aarch64-linux-gnu.txt -Dtests=true -Dbench=disabled \
        -Dbuildtype=release || return 0
    # the kernel checker and the unit tests; end to end is tests/qemu_check.sh
    run_meson_tests build-arm64 --timeout-multiplier 4 --suite kernels --suite unit --suite digests
    local code=0 verdict what
    tests/qemu_check.sh build build-arm64 >"$work/qemu" || code=$?
    cat "$work/qemu"
    while read -r verdict what; do
        case $verdict in
        PASS) passed "qemu: $what" ;;
        FAIL) failed "qemu: $what" ;;
        esac
    done <"$work/qemu"
    case $code in
    0 | 1) ;;
    77) skipped "qemu: not installed" ;;
    *) failed "qemu: exit code $code" ;;
    esac
}

main() {
    local stages=$STAGES stage started
    case ${1:-} in
    '') ;;
    --all) stages=$STAGES_ALL all=yes ;;
    *)
        sed -n '/^# usage/s/^# //p' "$0" >&2
        trap - EXIT
        rm -rf "$work"
        exit 2
        ;;
    esac
    files_in_memory
    for stage in $stages; do
        started=$SECONDS
        echo "=== $stage"
        "stage_$stage" || failed "stage $stage"
        echo "=== $stage: $((SECONDS - started)) s"
    done
    complete=yes
}

main "$@"
