/* Outside the sandbox: make a private place for its files, give up every privilege, execute bubblewrap.
 *
 *   launch --control FD [--uid N] --size BYTES --inodes N [--cgroup PROCS_FILE]... [--bind HOST_PATH NAME]...
 *          --exec PATH -- ARGS
 *
 * Everything happens in a mount namespace of its own, so that a crash at any point leaves nothing mounted. The stage is
 * a size-bounded tmpfs over /tmp of that namespace; host paths are bound below it by descriptor, because the
 * unprivileged user may not be allowed to walk to them (an image below /root, say).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define STAGE "/tmp"
#define MAX_BINDS 16

static void fail(const char *what, const char *name) {
  fprintf(stderr, "launch: %s%s%s: %s\n", what, name ? " " : "", name ? name : "", strerror(errno));
  exit(97);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("write", path);
  close(fd);
}

static void own_namespaces(int root) {
  char line[64];
  unsigned uid = getuid(), gid = getgid();
  if (unshare(root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
    fail(root ? "private mount namespace" : "user namespace", NULL);
  if (!root) {
    put("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%u %u 1", uid, uid);
    put("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%u %u 1", gid, gid);
    put("/proc/self/gid_map", line);
  }
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail("private mounts", NULL);
}

static void bind(int source, const char *name) {
  char from[64], to[256];
  struct stat st;
  snprintf(from, sizeof from, "/proc/self/fd/%d", source);
  snprintf(to, sizeof to, STAGE "/%s", name);
  if (fstat(source, &st) < 0) fail("stat", name);
  if (S_ISDIR(st.st_mode)) {
    if (mkdir(to, 0755) < 0) fail("mkdir", to);
  } else {
    int fd = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0) fail("create", to);
    close(fd);
  }
  if (mount(from, to, NULL, MS_BIND, NULL) < 0) fail("bind", name);
}

static void drop_to(unsigned id) {
  if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) fail("drop to user", NULL);
  if (getuid() != id || geteuid() != id || setuid(0) == 0) fail("still privileged after dropping", NULL);
}

/* Nothing of the caller but standard streams and the control socket may reach the sandbox. */
static void take_control(int fd) {
  if (fd != CONTROL_FD && dup2(fd, CONTROL_FD) < 0) fail("control socket", NULL);
  if (fcntl(CONTROL_FD, F_SETFD, 0) < 0) fail("control socket", NULL);
  if (syscall(SYS_close_range, CONTROL_FD + 1, ~0u, 0) < 0) fail("close descriptors", NULL);
}

int launch_main(int argc, char **argv) {
  const char *size = "0", *inodes = "0", *program = NULL, *paths[MAX_BINDS], *names[MAX_BINDS];
  int sources[MAX_BINDS], binds = 0, root = geteuid() == 0, i = 0;
  unsigned id = getuid();
  struct rlimit none = {0, 0};
  char options[128];

  for (; i < argc && strcmp(argv[i], "--") != 0; i += 2) {
    if (i + 1 >= argc) { errno = EINVAL; fail("argument", argv[i]); }
    if (strcmp(argv[i], "--control") == 0) take_control(atoi(argv[i + 1]));
    else if (strcmp(argv[i], "--uid") == 0) id = (unsigned)strtoul(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--size") == 0) size = argv[i + 1];
    else if (strcmp(argv[i], "--inodes") == 0) inodes = argv[i + 1];
    else if (strcmp(argv[i], "--exec") == 0) program = argv[i + 1];
    else if (strcmp(argv[i], "--cgroup") == 0) put(argv[i + 1], "0");
    else if (strcmp(argv[i], "--bind") == 0 && binds < MAX_BINDS && i + 2 < argc) {
      paths[binds] = argv[i + 1];
      names[binds++] = argv[i + 2];
      i++;
    } else { errno = EINVAL; fail("argument", argv[i]); }
  }
  if (!program || i >= argc) { errno = EINVAL; fail("no program", NULL); }
  if (id == 0) { errno = EPERM; fail("refusing to start bubblewrap as root: give --uid", NULL); }

  umask(022);
  own_namespaces(root);
  for (int b = 0; b < binds; b++) /* before the stage covers what may lie below /tmp */
    if ((sources[b] = open(paths[b], O_PATH | O_CLOEXEC)) < 0) fail("open", paths[b]);
  snprintf(options, sizeof options, "mode=0755,size=%s,nr_inodes=%s", size, inodes);
  if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) fail("mount", "tmpfs");
  if (mkdir(STAGE "/upper", 0755) < 0 || mkdir(STAGE "/work", 0755) < 0) fail("mkdir", STAGE);
  if (root && (chown(STAGE "/upper", id, id) < 0 || chown(STAGE "/work", id, id) < 0)) fail("chown", STAGE);
  for (int b = 0; b < binds; b++) bind(sources[b], names[b]);
  if (setrlimit(RLIMIT_CORE, &none) < 0) fail("setrlimit", NULL);
  if (chdir("/") < 0) fail("chdir", NULL);
  if (root) drop_to(id);

  /* An empty environment: the first process in the sandbox would show it in /proc/1/environ. */
  char *empty[] = {NULL};
  argv[i] = (char *)program;
  execve(program, argv + i, empty);
  fail("execute", program);
  return 97;
}
