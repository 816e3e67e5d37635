/* A disk that is full from the n-th operation on: preloaded, it refuses what would take room below
   one folder. Counts even while nothing fails, so that one run tells how many operations there are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long first = -1, last = -1;
static atomic_long count;

/* Operations first <= n < last below `where` fail; armed again, the count starts anew. */
void full_disk(const char *where, long from, long to) {
    strncpy(folder, where, sizeof folder - 1);
    first = from, last = to;
    atomic_store(&count, 0);
}

long full_disk_operations(void) { return atomic_load(&count); }

static int refused(const char *path) {
    if (!folder[0] || !path || strncmp(path, folder, strlen(folder))) return 0;
    long n = atomic_fetch_add(&count, 1);
    if (n < first || n >= last) return 0;
    errno = ENOSPC;
    return 1;
}

static int refused_file(int file) {
    char link[64], path[4096];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return refused(path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t size) {
    return refused_file(file) ? -1 : NEXT(write)(file, data, size);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return refused_file(file) ? -1 : NEXT(pwrite64)(file, data, size, at);
}
ssize_t writev(int file, const struct iovec *parts, int number) {
    return refused_file(file) ? -1 : NEXT(writev)(file, parts, number);
}
int fsync(int file) { return refused_file(file) ? -1 : NEXT(fsync)(file); }
int mkdir(const char *path, mode_t mode) { return refused(path) ? -1 : NEXT(mkdir)(path, mode); }
int link(const char *from, const char *to) { return refused(to) ? -1 : NEXT(link)(from, to); }
int rename(const char *from, const char *to) { return refused(to) ? -1 : NEXT(rename)(from, to); }

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;               \
        va_end(rest);                                                           \
        return (flags & O_CREAT) && refused(path) ? -1 : NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
