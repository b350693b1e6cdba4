/* SPDX-License-Identifier: Apache-2.0 */
/** @file outfile.h  Files that appear whole or not at all. */
#ifndef RPU_SRC_OUTFILE_H
#define RPU_SRC_OUTFILE_H

#include <stddef.h>

#include <rpu/status.h>

/** A file in the making. */
struct rpu_outfile;

/** Starts writing `path` under a temporary name in the same folder, so that a folder that is missing or not writable
 *  is found out early. A symbolic link is followed; what exists and is no regular file (a device, a pipe) is written
 *  directly; a pipe that nobody reads is an error. RPU_ERR_IO, RPU_ERR_NOMEM. */
enum rpu_status rpu_outfile_open(struct rpu_outfile **file, const char *path, struct rpu_error *err);

/** Appends bytes, for what is better not held in memory as a whole. */
enum rpu_status rpu_outfile_write(struct rpu_outfile *file, const void *bytes, size_t size, struct rpu_error *err);

/** Appends the rest, syncs the file, gives it its name, and syncs the folder. The object is freed, whether this
 *  works or not; if it does not, an old file of that name is still there, or the new one as a whole where only the
 * folder could not be synced. */
enum rpu_status rpu_outfile_commit(struct rpu_outfile *file, const char *text, size_t size, struct rpu_error *err);

/** Gives up: removes the temporary file and frees the object. Null is allowed. */
void rpu_outfile_abandon(struct rpu_outfile *file);

/** Makes a folder, with those above it that are missing where that is asked for, and syncs where they are; one that is
 * there is left as it is. -1 with errno. */
int rpu_outfile_folder(const char *path, int with_those_above);

/** Locks a folder against other processes that lock it. Returns a descriptor that holds the lock until it is closed, or
 *  -1 with errno: EWOULDBLOCK where another has the lock. Where the file system has no locks there is none. */
int rpu_outfile_lock(const char *folder);

/** Removes what processes that were killed left half written of the files `names` (ends with null) in a folder. No
 *  process may be at work there. */
void rpu_outfile_clean(const char *folder, const char *const *names);

#endif
