/* Outside the sandbox: make a private place for its files, become an unprivileged user, execute bubblewrap.
 *
 *   launch --control FD [--cgroup PROCS_FILE]... --ids BASE COUNT | --sub UID_BASE GID_BASE COUNT
 *          [--owner UID] [--bind HOST_PATH NAME]... [--join USER_FD MOUNT_FD] --upper NAME --size BYTES --inodes N
 *          --exec PATH -- ARGS
 *
 * Everything happens in a mount namespace of its own, so that a crash at any point leaves nothing mounted:
 *
 *   /tmp              the stage, a small tmpfs that only this family of sandboxes has
 *     NAME            what --bind names; the image is mapped from --owner to root of the sandbox where that is given
 *     UPPER/upper     what the sandbox writes, in a size-bounded tmpfs UPPER of its own; work and layers lie beside it
 *
 * Host paths are bound by descriptor, because the unprivileged user may not be allowed to walk to them.
 *
 * Users: started by root, the sandbox gets the COUNT user ids from BASE on as its own 0 to COUNT-1. Started by an
 * ordinary user, root inside is that user, and ids from 1 on are the subordinate ones where --sub names them. Either
 * way bubblewrap runs as root of a user namespace and is nobody of importance outside, and no further user namespace
 * can be made. With --join the namespaces are those of an earlier sandbox, whose layers are found on the stage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define STAGE "/tmp"
#define MAX_BINDS 16
#define EMPTY_PATH 0x1000 /* AT_EMPTY_PATH */

/* <linux/mount.h> cannot be included beside <sys/mount.h> of older C libraries. */
struct attributes { uint64_t set, clear, propagation, userns_fd; };
enum { TREE_CLONE = 1, ATTR_IDMAP = 0x100000, FROM_EMPTY_PATH = 4 };

struct settings {
  const char *size, *inodes, *upper, *program, *owner, *paths[MAX_BINDS], *names[MAX_BINDS];
  unsigned long base, sub_uid, sub_gid, count;
  int binds, sources[MAX_BINDS], user_ns, mount_ns;
};

static void fail(const char *what, const char *name) {
  fprintf(stderr, "launch: %s%s%s: %s\n", what, name ? " " : "", name ? name : "", strerror(errno));
  exit(97);
}

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("write", path);
  close(fd);
}

static void put_map(pid_t pid, const char *file, unsigned long inside, unsigned long outside, unsigned long count) {
  char path[64], line[96];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  snprintf(line, sizeof line, "%lu %lu %lu", inside, outside, count);
  put(path, line);
}

static void run(char **argv) {
  pid_t pid = fork();
  int status = -1;
  if (pid == 0) {
    execv(argv[0], argv);
    _exit(127);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) fail("map users with", argv[0]);
}

/* The program of the shadow suite that may give an ordinary user its subordinate ids. */
static void map_sub_ids(const char *program, pid_t pid, unsigned long own, unsigned long sub, unsigned long count) {
  char text[4][24];
  snprintf(text[0], sizeof *text, "%d", pid);
  snprintf(text[1], sizeof *text, "%lu", own);
  snprintf(text[2], sizeof *text, "%lu", sub);
  snprintf(text[3], sizeof *text, "%lu", count);
  run((char *[]){(char *)program, text[0], "0", text[1], "1", "1", text[2], text[3], NULL});
}

static void become(unsigned long id) {
  if (setgroups(0, NULL) < 0 || setresgid((gid_t)id, (gid_t)id, (gid_t)id) < 0 ||
      setresuid((uid_t)id, (uid_t)id, (uid_t)id) < 0)
    fail("become another user", NULL);
}

/* Enters a new user namespace, whose ids are mapped by a child process that stays outside, with the rights for it. Root
 * becomes nobody in particular before: what the kernel counts by user is also charged to who made the namespace. */
static void new_user_namespace(const struct settings *s, int root) {
  int go[2], status = -1;
  char byte;
  pid_t self = getpid();
  if (pipe2(go, O_CLOEXEC) < 0) fail("pipe", NULL);
  unsigned long uid = getuid(), gid = getgid();
  pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    if (read(go[0], &byte, 1) != 1) _exit(1);
    if (root) {
      put_map(self, "uid_map", 0, s->base, s->count);
      put_map(self, "gid_map", 0, s->base, s->count);
    } else if (s->count) {
      map_sub_ids("/usr/bin/newuidmap", self, uid, s->sub_uid, s->count);
      map_sub_ids("/usr/bin/newgidmap", self, gid, s->sub_gid, s->count);
    } else {
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/setgroups", self);
      put(path, "deny");
      put_map(self, "uid_map", 0, uid, 1);
      put_map(self, "gid_map", 0, gid, 1);
    }
    _exit(0);
  }
  if (child < 0) fail("fork", NULL);
  if (root) become(s->base);
  if (unshare(CLONE_NEWUSER) < 0) fail("user namespace", NULL);
  if (write(go[1], "", 1) != 1 || waitpid(child, &status, 0) != child || status != 0) exit(97);
  close(go[0]);
  close(go[1]);
}

static void own_mount_namespace(void) {
  if (unshare(CLONE_NEWNS) < 0) fail("private mount namespace", NULL);
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail("private mounts", NULL);
}

/* A user namespace that says: what belongs to `owner` on disk belongs to `base` where it is mounted with this map. */
static int owner_map(unsigned long owner, unsigned long base) {
  int ready[2];
  char path[64], byte;
  if (pipe2(ready, O_CLOEXEC) < 0) fail("pipe", NULL);
  pid_t child = fork();
  if (child == 0) {
    pid_t parent = getppid();
    if (unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) _exit(1);
    if (write(ready[1], "", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(ready[1]);
  if (child < 0 || read(ready[0], &byte, 1) != 1) fail("user namespace", "of the image");
  close(ready[0]);
  put_map(child, "uid_map", owner, base, 1);
  put_map(child, "gid_map", owner, base, 1);
  snprintf(path, sizeof path, "/proc/%d/ns/user", child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", path);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return fd;
}

/* A copy of the mount below `source` on which `owner` appears as `base`; -1 where the file system cannot do that. */
static int mapped_tree(int source, unsigned long owner, unsigned long base) {
  struct attributes map = {.set = ATTR_IDMAP, .userns_fd = (uint64_t)owner_map(owner, base)};
  int tree = (int)syscall(SYS_open_tree, source, "", TREE_CLONE | EMPTY_PATH | O_CLOEXEC);
  if (tree < 0) return -1;
  int done = (int)syscall(SYS_mount_setattr, tree, "", EMPTY_PATH, &map, sizeof map);
  close((int)map.userns_fd);
  if (done == 0) return tree;
  close(tree);
  return -1;
}

static void bind(const struct settings *s, int b) {
  char from[64], to[256];
  struct stat st;
  int source = s->sources[b];
  snprintf(to, sizeof to, STAGE "/%s", s->names[b]);
  if (fstat(source, &st) < 0) fail("stat", s->names[b]);
  if (S_ISDIR(st.st_mode)) {
    if (mkdir(to, 0755) < 0) fail("mkdir", to);
  } else {
    int fd = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0) fail("create", to);
    close(fd);
  }
  if (s->owner && strcmp(s->names[b], "image") == 0) {
    int tree = mapped_tree(source, strtoul(s->owner, NULL, 10), s->base);
    if (tree < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, to, FROM_EMPTY_PATH) < 0) fail("map the image", NULL);
    close(tree);
    return;
  }
  snprintf(from, sizeof from, "/proc/self/fd/%d", source);
  if (mount(from, to, NULL, MS_BIND, NULL) < 0) fail("bind", s->names[b]);
}

static void make_stage(struct settings *s) {
  for (int b = 0; b < s->binds; b++) /* before the stage covers what may lie below /tmp */
    if ((s->sources[b] = open(s->paths[b], O_PATH | O_CLOEXEC)) < 0) fail("open", s->paths[b]);
  if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=1024") < 0)
    fail("mount", "tmpfs");
  for (int b = 0; b < s->binds; b++) bind(s, b);
}

/* The place for what the sandbox writes; `id` is its root, as seen from where the mount is made. */
static void make_upper(const struct settings *s, unsigned long id) {
  static const char *const parts[] = {"upper", "work", "layers"};
  char path[256], options[128];
  snprintf(path, sizeof path, STAGE "/%s", s->upper);
  if (mkdir(path, 0755) < 0 && errno != EEXIST) fail("mkdir", path); /* a sibling of the family may have made it */
  snprintf(options, sizeof options, "mode=0755,size=%s,nr_inodes=%s", s->size, s->inodes);
  if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) fail("mount", path);
  for (int p = 0; p < 3; p++) {
    snprintf(path, sizeof path, STAGE "/%s/%s", s->upper, parts[p]);
    if (mkdir(path, 0755) < 0 || chown(path, (uid_t)id, (gid_t)id) < 0) fail("mkdir", path);
  }
}

static void enter(int fd, int kind, const char *what) {
  if (setns(fd, kind) < 0) fail("join the namespace of", what);
  close(fd);
}

/* Root makes its mounts first: afterwards, as nobody in particular, it could not. Others can only do so as root of
 * their own user namespace. */
static void make_world(struct settings *s, int root) {
  int joined = s->mount_ns >= 0;
  if (!root) {
    if (joined) enter(s->user_ns, CLONE_NEWUSER, "users");
    else new_user_namespace(s, 0);
  }
  if (joined) enter(s->mount_ns, CLONE_NEWNS, "mounts");
  own_mount_namespace();
  if (!joined) make_stage(s);
  make_upper(s, root ? s->base : 0);
  if (root) {
    if (joined) enter(s->user_ns, CLONE_NEWUSER, "users");
    else new_user_namespace(s, 1);
  }
}

static void confine(void) {
  /* Of this user namespace; nobody inside may raise them. */
  put("/proc/sys/user/max_user_namespaces", "0");
  put("/proc/sys/user/max_inotify_instances", "64");
}

/* Nothing of the caller but standard streams and the control socket may reach the sandbox. */
static void take_control(int fd) {
  if (fd != CONTROL_FD && dup2(fd, CONTROL_FD) < 0) fail("control socket", NULL);
  if (fcntl(CONTROL_FD, F_SETFD, 0) < 0) fail("control socket", NULL);
}

static int keep_until_exec(const char *fd) {
  int kept = fcntl(atoi(fd), F_DUPFD_CLOEXEC, CONTROL_FD + 1);
  if (kept < 0) fail("descriptor", fd);
  return kept;
}

int launch_main(int argc, char **argv) {
  struct settings s = {.size = "0", .inodes = "0", .user_ns = -1, .mount_ns = -1};
  int control = -1, root = geteuid() == 0, i = 0;
  struct rlimit one = {1, 1}; /* not 0, see agent.c */

  for (; i < argc && strcmp(argv[i], "--") != 0; i += 2) {
    const char *name = argv[i], **value = (const char **)argv + i + 1;
    if (i + 1 >= argc) { errno = EINVAL; fail("argument", name); }
    if (strcmp(name, "--control") == 0) control = keep_until_exec(*value);
    else if (strcmp(name, "--owner") == 0) s.owner = *value;
    else if (strcmp(name, "--size") == 0) s.size = *value;
    else if (strcmp(name, "--inodes") == 0) s.inodes = *value;
    else if (strcmp(name, "--upper") == 0) s.upper = *value;
    else if (strcmp(name, "--exec") == 0) s.program = *value;
    else if (strcmp(name, "--cgroup") == 0) put(*value, "0");
    else if (strcmp(name, "--ids") == 0 && i + 2 < argc) {
      s.base = strtoul(value[0], NULL, 10);
      s.count = strtoul(value[1], NULL, 10);
      i++;
    } else if (strcmp(name, "--sub") == 0 && i + 3 < argc) {
      s.sub_uid = strtoul(value[0], NULL, 10);
      s.sub_gid = strtoul(value[1], NULL, 10);
      s.count = strtoul(value[2], NULL, 10);
      i += 2;
    } else if (strcmp(name, "--join") == 0 && i + 2 < argc) {
      s.user_ns = keep_until_exec(value[0]);
      s.mount_ns = keep_until_exec(value[1]);
      i++;
    } else if (strcmp(name, "--bind") == 0 && s.binds < MAX_BINDS && i + 2 < argc) {
      s.paths[s.binds] = value[0];
      s.names[s.binds++] = value[1];
      i++;
    } else { errno = EINVAL; fail("argument", name); }
  }
  if (!s.program || !s.upper || control < 0 || i >= argc) { errno = EINVAL; fail("arguments", NULL); }
  if (root && s.base == 0) { errno = EPERM; fail("refusing to start bubblewrap as root: give --ids", NULL); }

  umask(022);
  put("/proc/self/oom_score_adj", "500"); /* where the whole host runs out of memory, its sandboxes go first */
  make_world(&s, root);
  if (setrlimit(RLIMIT_CORE, &one) < 0) fail("setrlimit", NULL);
  if (chdir("/") < 0) fail("chdir", NULL);
  if (root) become(0); /* of the sandbox */
  confine();
  take_control(control);
  if (syscall(SYS_close_range, CONTROL_FD + 1, ~0u, 0) < 0) fail("close descriptors", NULL);

  /* An empty environment: the first process in the sandbox would show it in /proc/1/environ. */
  char *empty[] = {NULL};
  argv[i] = (char *)s.program;
  execve(s.program, argv + i, empty);
  fail("execute", s.program);
  return 97;
}

/* idmap PATH OWNER: whether a file system can show its files as somebody else's. Exit code 0 if so. */
int idmap_main(int argc, char **argv) {
  if (argc != 2) return 97;
  own_mount_namespace();
  int source = open(argv[0], O_PATH | O_CLOEXEC);
  if (source < 0) fail("open", argv[0]);
  return mapped_tree(source, strtoul(argv[1], NULL, 10), 0x70000000) < 0;
}

/* confine PID: the same bounds for the user namespace of a container, which somebody else has made. */
int confine_main(int argc, char **argv) {
  char path[64];
  if (argc != 1) return 97;
  snprintf(path, sizeof path, "/proc/%s/ns/user", argv[0]);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open", path);
  enter(fd, CLONE_NEWUSER, "the container");
  confine();
  return 0;
}
