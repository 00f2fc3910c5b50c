/* Counts the calls of this process that change files under some folders, and ends the process at one of them, or lets it fail.

   Preloaded (LD_PRELOAD), and told what to do by variables of the environment, which are read at the first such call:

   OPERATIONS_UNDER  folders, absolute, with colons between
   OPERATIONS_LOG    a file that gets a line for each call: its name and the path
   OPERATIONS_AT     at which call something happens, from 1; 0 for none
   OPERATIONS_ERROR  the number of the error that it fails with; 0 to end the process before it, as `kill -9` would
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long count;

static int under(const char *path) {
    const char *folders = getenv("OPERATIONS_UNDER");
    while (folders && *folders) {
        size_t length = strcspn(folders, ":");
        if (length && !strncmp(path, folders, length) && (path[length] == '/' || path[length] == 0)) return 1;
        folders += length + (folders[length] == ':');
    }
    return 0;
}

/* The error that this call is to fail with, or 0 for it to go on. */
static int meet(const char *name, const char *path) {
    if (!under(path)) return 0;
    long number = atomic_fetch_add(&count, 1) + 1;
    const char *log = getenv("OPERATIONS_LOG"), *at = getenv("OPERATIONS_AT"), *error = getenv("OPERATIONS_ERROR");
    if (log) {
        char line[PATH_MAX + 64];
        int size = snprintf(line, sizeof line, "%s %s\n", name, path);
        int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file >= 0) {
            syscall(SYS_write, file, line, size < (int)sizeof line ? size : (int)sizeof line);
            syscall(SYS_close, file);
        }
    }
    if (!at || number != atol(at)) return 0;
    if (!error || !atoi(error)) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    return atoi(error);
}

static int meet_file(const char *name, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/') return 0;
    path[length] = 0;
    return meet(name, path);
}

static int meet_at(const char *name, int folder, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (path[0] == '/') return meet(name, path);
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    if (length <= 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return meet(name, whole);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL(found) do { int error_ = (found); if (error_) { errno = error_; return -1; } } while (0)
#define CHANGES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))
#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { REAL(open); MODE(flags) if (CHANGES(flags)) FAIL(meet_at("open", AT_FDCWD, path)); return real(path, flags, mode); }
int open64(const char *path, int flags, ...) { REAL(open64); MODE(flags) if (CHANGES(flags)) FAIL(meet_at("open", AT_FDCWD, path)); return real(path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { REAL(openat); MODE(flags) if (CHANGES(flags)) FAIL(meet_at("open", folder, path)); return real(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { REAL(openat64); MODE(flags) if (CHANGES(flags)) FAIL(meet_at("open", folder, path)); return real(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { REAL(creat); FAIL(meet_at("open", AT_FDCWD, path)); return real(path, mode); }
static FILE *opened(FILE *(*real)(const char *, const char *), const char *path, const char *mode) {
    int error = strpbrk(mode, "wa+") ? meet_at("open", AT_FDCWD, path) : 0;
    if (error) { errno = error; return NULL; }
    return real(path, mode);
}
FILE *fopen(const char *path, const char *mode) { REAL(fopen); return opened(real, path, mode); }
FILE *fopen64(const char *path, const char *mode) { REAL(fopen64); return opened(real, path, mode); }

ssize_t write(int file, const void *data, size_t size) { REAL(write); FAIL(meet_file("write", file)); return real(file, data, size); }
ssize_t pwrite(int file, const void *data, size_t size, off_t place) { REAL(pwrite); FAIL(meet_file("write", file)); return real(file, data, size, place); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t place) { REAL(pwrite64); FAIL(meet_file("write", file)); return real(file, data, size, place); }
ssize_t writev(int file, const struct iovec *parts, int number) { REAL(writev); FAIL(meet_file("write", file)); return real(file, parts, number); }
ssize_t sendfile(int to, int from, off_t *place, size_t size) { REAL(sendfile); FAIL(meet_file("write", to)); return real(to, from, place, size); }
ssize_t sendfile64(int to, int from, off64_t *place, size_t size) { REAL(sendfile64); FAIL(meet_file("write", to)); return real(to, from, place, size); }
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags) { REAL(copy_file_range); FAIL(meet_file("write", to)); return real(from, a, to, b, size, flags); }
int fsync(int file) { REAL(fsync); FAIL(meet_file("fsync", file)); return real(file); }
int fdatasync(int file) { REAL(fdatasync); FAIL(meet_file("fsync", file)); return real(file); }
int ftruncate(int file, off_t size) { REAL(ftruncate); FAIL(meet_file("truncate", file)); return real(file, size); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); FAIL(meet_file("truncate", file)); return real(file, size); }
int truncate64(const char *path, off64_t size) { REAL(truncate64); FAIL(meet_at("truncate", AT_FDCWD, path)); return real(path, size); }
int truncate(const char *path, off_t size) { REAL(truncate); FAIL(meet_at("truncate", AT_FDCWD, path)); return real(path, size); }

int rename(const char *from, const char *to) { REAL(rename); FAIL(meet_at("rename", AT_FDCWD, to)); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); FAIL(meet_at("rename", b, to)); return real(a, from, b, to); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { REAL(renameat2); FAIL(meet_at("rename", b, to)); return real(a, from, b, to, flags); }
int link(const char *from, const char *to) { REAL(link); FAIL(meet_at("link", AT_FDCWD, to)); return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); FAIL(meet_at("link", b, to)); return real(a, from, b, to, flags); }
int symlink(const char *from, const char *to) { REAL(symlink); FAIL(meet_at("link", AT_FDCWD, to)); return real(from, to); }
int symlinkat(const char *from, int b, const char *to) { REAL(symlinkat); FAIL(meet_at("link", b, to)); return real(from, b, to); }
int unlink(const char *path) { REAL(unlink); FAIL(meet_at("unlink", AT_FDCWD, path)); return real(path); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); FAIL(meet_at("unlink", folder, path)); return real(folder, path, flags); }
int remove(const char *path) { REAL(remove); FAIL(meet_at("unlink", AT_FDCWD, path)); return real(path); }
int rmdir(const char *path) { REAL(rmdir); FAIL(meet_at("unlink", AT_FDCWD, path)); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); FAIL(meet_at("mkdir", AT_FDCWD, path)); return real(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { REAL(mkdirat); FAIL(meet_at("mkdir", folder, path)); return real(folder, path, mode); }
int chmod(const char *path, mode_t mode) { REAL(chmod); FAIL(meet_at("chmod", AT_FDCWD, path)); return real(path, mode); }
int fchmod(int file, mode_t mode) { REAL(fchmod); FAIL(meet_file("chmod", file)); return real(file, mode); }
