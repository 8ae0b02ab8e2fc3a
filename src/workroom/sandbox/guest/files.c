/* File operations of the agent. Each runs in a child of its own with the sandbox's own rights and view, so that a
 * link, a pipe or a device planted by the model can mislead nobody outside and can block nobody but itself. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

static char buffer[1 << 16];

/* Copies at most `limit` bytes. */
static int copy(int from, int to, uint64_t limit) {
  while (limit) {
    ssize_t got = read(from, buffer, limit < sizeof buffer ? (size_t)limit : sizeof buffer);
    if (got < 0) return errno;
    if (got == 0) return 0;
    limit -= (uint64_t)got;
    for (ssize_t put = 0, n; put < got; put += n)
      if ((n = write(to, buffer + put, (size_t)(got - put))) < 0) return errno;
  }
  return 0;
}

int file_read(const char *path, uint64_t offset, uint64_t limit, int whole) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  if (!S_ISREG(st.st_mode)) return ENODEV;
  if (whole && (uint64_t)st.st_size > limit) return EFBIG;
  if (lseek(fd, (off_t)offset, SEEK_SET) < 0) return errno;
  return copy(fd, 1, limit);
}

static int make_parents(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    int made = mkdir(path, 0755);
    int error = errno;
    *slash = '/';
    if (made < 0 && error != EEXIST) return error;
  }
  return 0;
}

static int in_read_only_directory(const char *path) {
  static char directory[PATH_MAX];
  snprintf(directory, sizeof directory, "%s", path);
  char *slash = strrchr(directory, '/');
  slash[slash == directory] = 0;
  return access(directory, W_OK) < 0 && errno == EROFS;
}

/* Of a sealed sandbox (see seal.c): the one file that can be written has a limit, and no room for another beside it. */
static int write_in_place(const char *path) {
  struct stat contents;
  struct rlimit limit;
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(0, &contents) < 0 || getrlimit(RLIMIT_FSIZE, &limit) < 0) return errno;
  if (limit.rlim_cur != RLIM_INFINITY && (rlim_t)contents.st_size > limit.rlim_cur) return EFBIG;
  if (ftruncate(fd, 0) < 0) return errno;
  int error = copy(0, fd, UINT64_MAX);
  return close(fd) < 0 && !error ? errno : error;
}

/* Through a temporary file and rename, so that a reader never sees half of it and a full disk leaves the old one.
 * Where only the file itself can be written, an empty one counts as none. */
int file_write(const char *path, int exclusive) {
  static char target[PATH_MAX], temporary[PATH_MAX + 32];
  struct stat st;
  mode_t mode = 0644;
  int known = 0, alone = 0;
  if (strlen(path) >= sizeof target) return ENAMETOOLONG;
  if (path[strlen(path) - 1] == '/') return EISDIR;
  strcpy(target, path);
  int error = make_parents(target);
  if (error) return error;
  if (lstat(path, &st) == 0) {
    if (exclusive && (st.st_size || !S_ISREG(st.st_mode) || !in_read_only_directory(path))) return EEXIST;
    if (S_ISLNK(st.st_mode) && !realpath(path, target)) return errno;
    if (stat(target, &st) < 0) return errno;
    if (S_ISDIR(st.st_mode)) return EISDIR;
    if (!S_ISREG(st.st_mode)) return ENODEV;
    mode = st.st_mode & 07777;
    known = 1;
    alone = in_read_only_directory(target);
  } else if (errno != ENOENT) return errno;

  if (alone) return write_in_place(target);
  snprintf(temporary, sizeof temporary, "%s", target);
  snprintf(strrchr(temporary, '/') + 1, 32, ".workroom.%d", (int)getpid());
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  error = copy(0, fd, UINT64_MAX);
  if (!error && known && fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EINVAL && errno != EPERM) error = errno;
  if (!error && (fchmod(fd, mode) < 0 || close(fd) < 0)) error = errno;
  if (!error && renameat2(AT_FDCWD, temporary, AT_FDCWD, target, exclusive ? RENAME_NOREPLACE : 0) < 0) error = errno;
  if (error) unlink(temporary);
  return error;
}

int make_directories(char *path) {
  int error = make_parents(path);
  if (error) return error;
  return mkdir(path, 0755) < 0 && errno != EEXIST ? errno : 0;
}

#define LIST_BYTES (32u << 20) /* of all names together, so that the host need not hold 4 KB for each entry */

static uint32_t left, room;

static int list(int parent, const char *name, const char *prefix, uint32_t levels) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error = 0;
  if (fd < 0) return errno;
  DIR *dir = fdopendir(fd);
  struct dirent *entry;
  while (!error && (entry = readdir(dir))) {
    static char path[PATH_MAX];
    struct stat st;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) continue; /* gone since */
    if (left-- == 0) { error = EFBIG; break; }
    if (snprintf(path, sizeof path, "%s%s", prefix, entry->d_name) >= (int)sizeof path) continue; /* no legal path */
    size_t length = strlen(path);
    if (length > room) { error = EFBIG; break; }
    room -= (uint32_t)length;
    char kind = S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'o';
    printf("%c %lld %s%c", kind, (long long)st.st_size, path, 0);
    if (kind == 'd' && levels != 1) {
      char *below = malloc(length + 2);
      if (!below) { error = ENOMEM; break; }
      memcpy(below, path, length);
      strcpy(below + length, "/");
      /* A directory that cannot be read is left out; only the bound on entries ends the walk. */
      if (list(fd, entry->d_name, below, levels ? levels - 1 : 0) == EFBIG) error = EFBIG;
      free(below);
    }
  }
  closedir(dir);
  return error;
}

int file_list(const char *path, uint32_t max_entries, uint32_t levels) {
  left = max_entries;
  room = LIST_BYTES;
  int error = list(AT_FDCWD, path, "", levels);
  return fflush(stdout) ? errno : error;
}
