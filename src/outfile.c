/* SPDX-License-Identifier: Apache-2.0 */
#include "outfile.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct rpu_outfile {
    int fd;
    int direct; /* no temporary name: `path` itself is written */
    char path[PATH_MAX];
    char temporary[PATH_MAX];
};

/* Length of the folder part of a path with its slash; 0 when there is none. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Creates ".NAME.tmp-PID-K" beside the target with the first K that is free. */
static enum rpu_status open_temporary(struct rpu_outfile *f, mode_t mode, struct rpu_error *err) {
    const size_t folder = folder_length(f->path);
    for (int k = 0; k < 100; k++) {
        const int n = snprintf(f->temporary, sizeof f->temporary, "%.*s.%s.tmp-%ld-%d", (int)folder, f->path,
                               f->path + folder, (long)getpid(), k);
        if (n < 0 || (size_t)n >= sizeof f->temporary) {
            errno = ENAMETOOLONG;
            break;
        }
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (f->fd >= 0)
            return RPU_OK;
        if (errno != EEXIST)
            break;
    }
    return rpu_fail_system(err, f->path, "cannot create the file");
}

/* Opens what is no regular file. A reader of a pipe that is being started gets a second to open it; without one this
 * would wait for good. */
static enum rpu_status open_direct(struct rpu_outfile *f, struct rpu_error *err) {
    const struct timespec pause = {0, 10000000};
    f->direct = 1;
    for (int k = 0; k < 100; k++) {
        f->fd = open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (f->fd >= 0 || errno != ENXIO)
            break;
        nanosleep(&pause, NULL);
    }
    if (f->fd >= 0 && fcntl(f->fd, F_SETFL, 0) == 0)
        return RPU_OK;
    if (f->fd >= 0)
        close(f->fd);
    return errno == ENXIO ? rpu_fail_at(err, RPU_ERR_IO, f->path, 0, NULL, "cannot open for writing: it has no reader")
                          : rpu_fail_system(err, f->path, "cannot open for writing");
}

/* Goes from a symbolic link to the file that it names, which need not be there yet. */
static enum rpu_status follow_links(struct rpu_outfile *f, struct rpu_error *err) {
    char target[PATH_MAX];
    for (int k = 0; k < 40; k++) {
        const size_t folder = folder_length(f->path);
        const ssize_t n = readlink(f->path, target, sizeof target);
        if (n < 0)
            return RPU_OK;
        if ((size_t)n + folder >= sizeof f->path) {
            errno = ENAMETOOLONG;
            return rpu_fail_system(err, f->path, "cannot follow the link");
        }
        memcpy(f->path + (target[0] == '/' ? 0 : folder), target, (size_t)n);
        f->path[(target[0] == '/' ? 0 : folder) + (size_t)n] = '\0';
    }
    errno = ELOOP;
    return rpu_fail_system(err, f->path, "cannot follow the link");
}

static enum rpu_status open_existing(struct rpu_outfile *f, const struct stat *st, struct rpu_error *err) {
    char resolved[PATH_MAX];
    if (S_ISDIR(st->st_mode)) {
        errno = EISDIR;
        return rpu_fail_system(err, f->path, "cannot write the file");
    }
    if (!S_ISREG(st->st_mode))
        return open_direct(f, err);
    if (access(f->path, W_OK) != 0 || !realpath(f->path, resolved))
        return rpu_fail_system(err, f->path, "cannot write the file");
    memcpy(f->path, resolved, sizeof f->path);
    const enum rpu_status status = open_temporary(f, 0600, err);
    if (status == RPU_OK)
        (void)fchmod(f->fd, st->st_mode & 07777); /* which no umask changes; some file systems have no rights */
    return status;
}

enum rpu_status rpu_outfile_open(struct rpu_outfile **file, const char *path, struct rpu_error *err) {
    struct rpu_outfile *f = calloc(1, sizeof *f);
    struct stat st;
    enum rpu_status status;
    *file = NULL;
    if (!f)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    f->fd = -1;
    if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path || path[0] == '\0')
        status = rpu_fail_at(err, RPU_ERR_IO, path, 0, NULL, "the file's name is empty or too long");
    else if (stat(path, &st) == 0)
        status = open_existing(f, &st, err);
    else if ((status = follow_links(f, err)) == RPU_OK)
        status = open_temporary(f, 0666, err);
    if (status != RPU_OK) {
        free(f);
        return status;
    }
    *file = f;
    return RPU_OK;
}

static int write_all(int fd, const void *bytes, size_t size) {
    const char *text = bytes;
    while (size > 0) {
        const ssize_t n = write(fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

static int sync_all(int fd) {
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

/* Makes the new name durable. */
static int sync_folder(const char *path) {
    char folder[PATH_MAX];
    const size_t length = folder_length(path);
    int fd, result;
    snprintf(folder, sizeof folder, "%.*s", length ? (int)length : 1, length ? path : ".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = sync_all(fd);
    /* A file system without this operation on folders says EINVAL; there is nothing more to do then. */
    if (result != 0 && (errno == EINVAL || errno == ENOTSUP))
        result = 0;
    close(fd);
    return result;
}

static int make_folder(const char *path) {
    if (mkdir(path, 0777) != 0)
        return errno == EEXIST ? 0 : -1;
    return sync_folder(path) == 0 || errno == EACCES ? 0 : -1; /* what may not be read cannot be synced */
}

int rpu_outfile_folder(const char *path, int with_those_above) {
    char name[PATH_MAX];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= sizeof name) {
        errno = length == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(name, path, length);
    name[length] = '\0';
    if (make_folder(name) == 0)
        return 0;
    if (errno != ENOENT || !with_those_above)
        return -1;
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_folder(name) != 0)
            return -1;
        *slash = '/';
    }
    return make_folder(name);
}

/* Closes the descriptor; a failure to write may only show here. */
static int finish(struct rpu_outfile *f) {
    const int synced = f->direct ? 0 : sync_all(f->fd), fd = f->fd;
    f->fd = -1;
    return (close(fd) == 0 || errno == EINTR) && synced == 0 ? 0 : -1;
}

enum rpu_status rpu_outfile_write(struct rpu_outfile *file, const void *bytes, size_t size, struct rpu_error *err) {
    return write_all(file->fd, bytes, size) == 0 ? RPU_OK : rpu_fail_system(err, file->path, "cannot write the file");
}

enum rpu_status rpu_outfile_commit(struct rpu_outfile *file, const char *text, size_t size, struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    if (write_all(file->fd, text, size) != 0 || finish(file) != 0)
        status = rpu_fail_system(err, file->path, "cannot write the file");
    else if (!file->direct && rename(file->temporary, file->path) != 0)
        status = rpu_fail_system(err, file->path, "cannot give the file its name");
    else if (!file->direct && sync_folder(file->path) != 0)
        status = rpu_fail_system(err, file->path, "cannot sync the file's folder");
    rpu_outfile_abandon(file);
    return status;
}

void rpu_outfile_abandon(struct rpu_outfile *file) {
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    if (!file->direct)
        unlink(file->temporary); /* after a rename the name is gone, and this does nothing */
    free(file);
}

int rpu_outfile_lock(const char *folder) {
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        errno = EWOULDBLOCK;
        return -1;
    }
    return fd;
}

/* Whether a name is ".NAME.tmp-..." of one of the names. */
static int is_leftover(const char *entry, const char *const *names) {
    static const char mark[] = ".tmp-";
    for (; *names; names++) {
        const size_t length = strlen(*names);
        if (entry[0] == '.' && strncmp(entry + 1, *names, length) == 0 &&
            strncmp(entry + 1 + length, mark, sizeof mark - 1) == 0)
            return 1;
    }
    return 0;
}

void rpu_outfile_clean(const char *folder, const char *const *names) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (is_leftover(entry->d_name, names))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}
