/* SPDX-License-Identifier: Apache-2.0 */
/** @file inject.h
 *  Faults of the system, made to order: allocations, system calls and clocks. Linked into a test, it fails the
 *  allocations that faults_begin names; as a library that is loaded before a program (LD_PRELOAD), it does what
 *  RPU_FAULTS says, and says what it did in the file RPU_FAULTS_REPORT. A program that the faulty one starts has none.
 *
 *  RPU_FAULTS is a list with commas of
 *
 *  - `alloc=N`: allocation N, counted from 1, fails; `alloc=N+`: and all after it. `alloc=0` only counts.
 *  - `NAME=ERROR:N`: system call NAME fails for the N-th time that it is made (`N+`: and ever after), NAME one of read,
 *    write, openat, close, fsync, rename; ERROR is errno's number. Calls before main do not count, and what is written
 * to standard error neither.
 *  - `short=N`: a read or write moves at most N bytes.
 *  - `interrupts=N`: each N-th read, fsync and write fails with EINTR, but for writes to standard streams.
 *  - `realtime=S`: the clock of the day jumps ahead by S seconds, back to the truth, and so on, at each look.
 *  - `monotonic=S`: the clock that never goes back leaps ahead by S seconds at each look.
 *
 *  Allocations that count are those made by the program, librpu, libyaml, jansson, zlib and xxHash, and by libc where
 * one of these called it. Those of libgomp, hwloc and MPI do not. System calls are those of the first thread. */
#ifndef RPU_TESTS_FAULTS_INJECT_H
#define RPU_TESTS_FAULTS_INJECT_H

/** Who made an allocation. */
enum faults_owner {
    FAULTS_OWN, /**< the program and librpu */
    FAULTS_YAML,
    FAULTS_JANSSON,
    FAULTS_ZLIB,
    FAULTS_XXHASH,
    FAULTS_SYSTEM, /**< libc, called by one of these */
    FAULTS_OWNERS,
    FAULTS_FOREIGN = FAULTS_OWNERS /**< does not count */
};

/** What came of it. */
struct faults_report {
    long seen;                  /**< allocations that count */
    long failed[FAULTS_OWNERS]; /**< of them those that were made to fail */
    long live;                  /**< those that were made and not freed since */
    void *first_live;           /**< where the oldest of those was called from */
    void *frames[16];           /**< calls that led to the first that failed, innermost first */
    long foreign;               /**< allocations of others: libgomp, hwloc, ... */
    int n_frames;               /**< 0: none failed */
};

/** From now on allocation `nth` (from 1; 0: none) fails, and with `all_after` those that come later. */
void faults_begin(long nth, int all_after);

/** No allocation fails any more. */
void faults_end(struct faults_report *report);

/** "own", "libyaml", ... */
const char *faults_owner_name(int owner);

/** Whether an owner's code was found as a program or library of its own, after the first faults_begin. */
int faults_has(int owner);

#endif
