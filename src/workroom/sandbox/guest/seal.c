/* Outside the sandbox, once its files are in place: nothing inside can be written any more but one file.
 *
 *   seal PIDFD PID PATH SIZE    PIDFD and PID: process 1 of the sandbox, as the host sees it
 *
 * The file is given a mount of its own before all mounts are made read-only, so that what is written there is still a
 * part of what the sandbox has written (a checkpoint has it). Nobody inside may mount anything, so this stays. SIZE
 * bounds the file, in bytes: it is set as the limit on files of process 1, which all later processes inherit. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

/* <linux/mount.h> cannot be included beside <sys/mount.h> of older C libraries, and is missing from others. */
struct attributes { uint64_t set, clear, propagation, userns_fd; };
enum { TREE_CLONE = 1, ATTR_RDONLY = 1, ATTR_NOSUID = 2, ATTR_NODEV = 4, FROM_EMPTY_PATH = 4, EMPTY_PATH = 0x1000,
       RECURSIVE = 0x8000 };

static int fail(const char *what, const char *name) {
  fprintf(stderr, "seal: %s %s: %s\n", what, name, strerror(errno));
  return 97;
}

static int set_attributes(int at, const char *path, unsigned flags, uint64_t set) {
  struct attributes wanted = {.set = set};
  return (int)syscall(SYS_mount_setattr, at, path, flags, &wanted, sizeof wanted);
}

int seal_main(int argc, char **argv) {
  struct stat st;
  if (argc != 4) { errno = EINVAL; return fail("arguments", "of seal"); }
  const char *path = argv[2];
  rlim_t size = (rlim_t)strtoull(argv[3], NULL, 10);
  struct rlimit limit = {size, size};
  if (setns(atoi(argv[0]), CLONE_NEWUSER | CLONE_NEWNS) < 0) return fail("join", "the sandbox");
  if (prlimit((pid_t)atoi(argv[1]), RLIMIT_FSIZE, &limit, NULL) < 0) return fail("bound", path);
  int file = (int)syscall(SYS_open_tree, AT_FDCWD, path, TREE_CLONE | O_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (file < 0 || fstat(file, &st) < 0) return fail("open", path);
  if (!S_ISREG(st.st_mode)) { errno = ENODEV; return fail("use", path); }
  if (set_attributes(file, "", EMPTY_PATH, ATTR_NOSUID | ATTR_NODEV) < 0) return fail("restrict", path);
  if (set_attributes(AT_FDCWD, "/", RECURSIVE, ATTR_RDONLY) < 0) return fail("make read-only", "/");
  if (syscall(SYS_move_mount, file, "", AT_FDCWD, path, FROM_EMPTY_PATH) < 0) return fail("mount", path);
  return 0;
}
