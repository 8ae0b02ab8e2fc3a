/* Inside the sandbox, as process 1: runs commands and file operations for the host.
 *
 * A command gets a supervisor process that is a "subreaper": whatever the command starts, also by double fork, stays
 * below it, so that a time-out can end all of it. When the command itself has ended the supervisor goes too, and jobs
 * left in the background live on below process 1. Their output is read and dropped, so that they never block on it.
 * When the host's end of the socket closes, for whatever reason, process 1 exits and the kernel ends everything.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define MAX_OPS 1024
#define MAX_PASSED 64
#define TAIL (64u << 10)
#define CHUNK (64u << 10)
#define STALL 10000000u /* microseconds without a byte after which a file operation is given up */

struct stream {
  int fd;            /* -1 when at its end */
  uint64_t total;    /* bytes the process wrote */
  char *tail;        /* ring of the last TAIL bytes beyond the cap */
};

struct op {
  uint32_t id, cap;
  pid_t pid;         /* 0 when free; -1 when only background jobs still hold its pipes */
  int status, exited, timed_out, waited, on_file;
  uint64_t started, deadline, cpu; /* microseconds; deadline 0 for none */
  struct stream out[2];
};

static struct op ops[MAX_OPS], *ops_end = ops; /* none was ever used at or after ops_end */
static int passed[MAX_PASSED], passed_count;
static char chunk[CHUNK];
extern char **environ;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t microseconds(struct timeval t) { return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec; }

/* ---- talking to the host ---- */

static void send_all(const char *data, size_t size) {
  while (size) {
    ssize_t n = send(CONTROL_FD, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0); /* the host is gone: so is the sandbox */
    data += n;
    size -= (size_t)n;
  }
}

static void send_frame(uint32_t id, char kind, const void *payload, uint32_t size) {
  char frame[FRAME_HEADER + 64];
  memcpy(frame, &size, 4);
  memcpy(frame + 4, &id, 4);
  frame[8] = kind;
  if (size <= 64) { /* one packet for the small ones */
    memcpy(frame + FRAME_HEADER, payload, size);
    send_all(frame, FRAME_HEADER + size);
  } else {
    send_all(frame, FRAME_HEADER);
    send_all(payload, size);
  }
}

static void send_exit(uint32_t id, uint32_t code, uint32_t flags, uint64_t us, uint64_t cpu, uint64_t out,
                      uint64_t err) {
  char payload[40];
  memcpy(payload, &code, 4);
  memcpy(payload + 4, &flags, 4);
  memcpy(payload + 8, &us, 8);
  memcpy(payload + 16, &cpu, 8);
  memcpy(payload + 24, &out, 8);
  memcpy(payload + 32, &err, 8);
  send_frame(id, K_EXIT, payload, sizeof payload);
}

/* The egress port: a listening socket on the sandbox's own loopback, handed to the host, which serves it. */
static int listen_on(unsigned port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 256) < 0) {
    perror("agent: egress port");
    exit(98);
  }
  if (fd == CONTROL_FD) { /* where none was inherited the number is still free, but not for this one */
    fd = fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
    close(CONTROL_FD);
  }
  return fd;
}

static void send_hello(int listener) {
  uint32_t size = 4, id = 0, version = PROTOCOL_VERSION;
  char frame[FRAME_HEADER + 4], control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {frame, sizeof frame};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  memcpy(frame, &size, 4);
  memcpy(frame + 4, &id, 4);
  frame[8] = K_HELLO;
  memcpy(frame + FRAME_HEADER, &version, 4);
  if (listener >= 0) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &listener, sizeof(int));
  }
  if (sendmsg(CONTROL_FD, &message, MSG_NOSIGNAL) != (ssize_t)sizeof frame) _exit(98);
  if (listener >= 0) close(listener);
}

/* ---- output ---- */

static void take(struct op *op, int which, const char *data, uint32_t size) {
  struct stream *s = &op->out[which];
  uint32_t room = s->total < op->cap ? (uint32_t)(op->cap - s->total) : 0, now = size < room ? size : room;
  if (now) send_frame(op->id, which ? K_ERR : K_OUT, data, now);
  if (now < size && (s->tail || (s->tail = malloc(TAIL))))
    for (uint32_t i = now; i < size; i++) s->tail[(s->total + i - op->cap) % TAIL] = data[i];
  s->total += size;
}

static void send_tail(struct op *op, int which) {
  struct stream *s = &op->out[which];
  uint64_t beyond = s->total > op->cap ? s->total - op->cap : 0;
  uint32_t held = beyond < TAIL ? (uint32_t)beyond : TAIL, start = beyond < TAIL ? 0 : (uint32_t)(beyond % TAIL);
  if (s->tail) {
    if (held - start) send_frame(op->id, which ? K_ERR : K_OUT, s->tail + start, held - start);
    if (start) send_frame(op->id, which ? K_ERR : K_OUT, s->tail, start);
    free(s->tail);
    s->tail = NULL;
  }
}

/* Reads once. Returns 0 when there was nothing to read now or ever. */
static int drain(struct op *op, int which) {
  struct stream *s = &op->out[which];
  if (s->fd < 0) return 0;
  ssize_t n = read(s->fd, chunk, sizeof chunk);
  if (n > 0) {
    if (op->pid > 0) take(op, which, chunk, (uint32_t)n);
    if (op->on_file) op->deadline = now_us() + STALL;
    return 1;
  }
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    close(s->fd);
    s->fd = -1;
  }
  return 0;
}

/* The places that a backend may have given a bounded file system of their own. */
static uint32_t disk_full(void) {
  static const char *const places[] = {"/", "/testbed", "/tmp", "/var/tmp"};
  struct statvfs disk;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (statvfs(places[i], &disk) == 0 && (disk.f_bavail == 0 || (disk.f_files && disk.f_favail == 0)))
      return F_DISK_FULL;
  return 0;
}

static void reap(void);

/* Whether anything runs that is not itself the work on a request. */
static uint32_t left_running(void) {
  const struct process *all;
  siginfo_t child;
  int others = 0;
  reap();
  for (struct op *op = ops; op < ops + MAX_OPS; op++) others += op->pid > 0 && !op->exited;
  while (!others) { /* the usual case costs one system call */
    child.si_pid = 0;
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0) return 0;
    if (child.si_pid == 0) return F_RUNNING;
    reap();
  }
  for (int i = 0, count = processes_below(1, &all); i < count; i++) {
    if (all[i].parent != 1 || !is_alive(&all[i])) continue;
    struct op *op = ops;
    while (op < ops + MAX_OPS && op->pid != all[i].pid) op++;
    if (op == ops + MAX_OPS) return F_RUNNING;
  }
  return 0;
}

static void finish(struct op *op) {
  for (int which = 0; which < 2; which++) {
    /* What the ended process left in the pipe is at most its capacity; more is a background job's. */
    for (uint32_t n = 0; n < (1u << 20) / CHUNK && drain(op, which); n++) {}
    send_tail(op, which);
  }
  uint32_t code = WIFSIGNALED(op->status) ? 128u + (uint32_t)WTERMSIG(op->status) : (uint32_t)WEXITSTATUS(op->status);
  uint32_t flags = disk_full() | (op->on_file ? 0 : left_running());
  if (op->timed_out) flags |= F_TIMED_OUT | (op->waited ? F_WAITED : 0);
  send_exit(op->id, op->timed_out ? 124 : code, flags, now_us() - op->started, op->cpu, op->out[0].total,
            op->out[1].total);
  op->pid = -1;
  op->deadline = 0;
}

/* ---- processes ---- */

static void reap(void) {
  int status;
  struct rusage used; /* of the supervisor and all that it has waited for */
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG | WUNTRACED, &used)) > 0;)
    for (struct op *op = ops; op < ops_end; op++) {
      if (op->pid != pid) continue;
      if (WIFSTOPPED(status)) kill(pid, SIGCONT); /* a program in the sandbox did that to our own process */
      else {
        op->status = status;
        op->cpu = microseconds(used.ru_utime) + microseconds(used.ru_stime);
        op->exited = 1;
      }
    }
}

static void count(uint32_t id) {
  reap(); /* a zombie that waits for it is no running process */
  send_exit(id, (uint32_t)signal_below(1, 0), 0, 0, 0, 0, 0);
}

static int below_waits(pid_t top) {
  const struct process *all;
  int count = processes_below(top, &all), waits = 0;
  for (int i = 0; i < count && !waits; i++) waits = all[i].below && waits_for_input(all[i].pid, 0);
  return waits;
}

static void end_all_of(struct op *op) {
  if (op->on_file) {
    kill(op->pid, SIGKILL);
    op->deadline = 0;
    return;
  }
  end_below(op->pid); /* the supervisor adopts what loses its parent and reports once everything below it is dead */
  op->deadline = now_us() + 1000000; /* should it not have ended by then, it is ended itself */
}

static void sweep(uint32_t id) {
  for (int tries = 0; tries < 2000 && kill(-1, SIGKILL) == 0; tries++) {
    usleep(500);
    reap();
  }
  send_exit(id, 0, 0, 0, 0, 0, 0);
}

static void default_signals(void) {
  sigset_t none;
  signal(SIGPIPE, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_command(const char *cwd, char **argv, char **envp) {
  setsid();
  if (chdir(cwd) < 0) {
    fprintf(stderr, "cannot enter the working directory %s: %s\n", cwd, strerror(errno));
    _exit(126);
  }
  environ = envp;
  execvp(argv[0], argv);
  fprintf(stderr, "%s: %s\n", argv[0], errno == ENOENT ? "command not found" : strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

static void supervise(const char *cwd, char **argv, char **envp) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  default_signals();
  pid_t child = vfork(); /* nothing but the start of a program follows, so no page need be copied */
  if (child < 0) {
    fprintf(stderr, "cannot start a process: %s\n", strerror(errno));
    _exit(254);
  }
  if (child == 0) run_command(cwd, argv, envp);
  close_range(0, ~0u, 0);
  for (int status;;) {
    pid_t pid = waitpid(-1, &status, 0);
    if (pid == child) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (pid < 0 && errno != EINTR) _exit(255);
  }
}

/* ---- requests ---- */

static struct op *new_op(uint32_t id) {
  for (struct op *op = ops; op < ops + MAX_OPS; op++)
    if (op->pid == 0 || (op->pid == -1 && op->out[0].fd < 0 && op->out[1].fd < 0)) {
      if (op >= ops_end) ops_end = op + 1;
      memset(op, 0, sizeof *op);
      op->id = id;
      op->out[0].fd = op->out[1].fd = -1;
      op->cap = UINT32_MAX;
      op->started = now_us();
      return op;
    }
  return NULL;
}

/* Forks with fresh pipes as standard output and error and `in` (or nothing) as input; returns 0 in the child. */
static pid_t start(struct op *op, int in) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) < 0) return -1;
  if (pipe2(err, O_CLOEXEC) < 0) {
    close(out[0]);
    close(out[1]);
    return -1;
  }
  pid_t pid = fork();
  if (pid == 0) {
    if (in >= 0) dup2(in, 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    return 0;
  }
  close(out[1]);
  close(err[1]);
  if (pid < 0) {
    close(out[0]);
    close(err[0]);
    return -1;
  }
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  op->pid = pid;
  op->out[0].fd = out[0];
  op->out[1].fd = err[0];
  return pid;
}

static int next_passed(void) {
  if (passed_count == 0) return -1;
  int fd = passed[0];
  memmove(passed, passed + 1, sizeof(int) * (size_t)--passed_count);
  return fd;
}

static uint32_t u32(const char **p) {
  uint32_t v;
  memcpy(&v, *p, 4);
  *p += 4;
  return v;
}

static char **strings(const char **p, uint32_t count) {
  char **list = calloc(count + 1u, sizeof *list);
  for (uint32_t i = 0; list && i < count; i++) {
    list[i] = (char *)*p;
    *p += strlen(*p) + 1;
  }
  return list;
}

/* The payload ends with a NUL (see `requests`), so that no string in it can run over its end. */
static void handle_exec(uint32_t id, const char *p) {
  struct op *op = new_op(id);
  uint32_t timeout = u32(&p), cap = u32(&p), argc = u32(&p), envc = u32(&p);
  int in = *p++ ? next_passed() : -1;
  const char *cwd = p;
  p += strlen(p) + 1;
  if (op) {
    op->cap = cap;
    op->deadline = timeout ? op->started + (uint64_t)timeout * 1000u : 0;
    pid_t pid = start(op, in);
    if (pid == 0) {
      char **argv = strings(&p, argc), **envp = strings(&p, envc);
      if (argv && envp) supervise(cwd, argv, envp);
      _exit(254);
    }
    if (pid < 0) op = NULL;
  }
  if (!op) {
    const char text[] = "cannot start a process: the sandbox has too many of them\n";
    send_frame(id, K_ERR, text, sizeof text - 1);
    send_exit(id, 254, 0, 0, 0, 0, sizeof text - 1);
  }
  if (in >= 0) close(in);
}

/* A program in the sandbox can stop or end the process that works on a file, so that has a deadline, too. */
static void handle_file(uint32_t id, char kind, const char *p) {
  struct op *op = new_op(id);
  int in = kind == K_WRITE ? next_passed() : -1;
  pid_t pid = op ? start(op, in) : -1;
  if (pid == 0) {
    default_signals();
    if (kind == K_READ) {
      uint64_t part[2];
      memcpy(part, p, sizeof part);
      _exit(file_read(p + 17, part[0], part[1], p[16]));
    }
    if (kind == K_WRITE) _exit(file_write(p + 1, *p));
    uint32_t most = u32(&p), levels = u32(&p);
    _exit(file_list(p, most, levels));
  }
  if (pid < 0) send_exit(id, EAGAIN, 0, 0, 0, 0, 0);
  else {
    op->on_file = 1;
    op->deadline = op->started + STALL;
  }
  if (in >= 0) close(in);
}

/* The payload is followed by a NUL (see `requests`): an empty path ends the list. */
static void handle_dirs(uint32_t id, char *p) {
  int error = 0;
  for (; !error && *p; p += strlen(p) + 1) error = make_directories(p);
  send_exit(id, (uint32_t)error, 0, 0, 0, 0, 0);
}

static void handle(uint32_t id, char kind, char *payload) {
  if (kind == K_EXEC) handle_exec(id, payload);
  else if (kind == K_READ || kind == K_WRITE || kind == K_LIST) handle_file(id, kind, payload);
  else if (kind == K_DIRS) handle_dirs(id, payload);
  else if (kind == K_SWEEP) sweep(id);
  else if (kind == K_COUNT) count(id);
  else if (kind == K_KILL)
    for (struct op *op = ops; op < ops_end; op++)
      if (op->id == id && op->pid > 0) end_all_of(op);
}

static void requests(void) {
  static char *data;
  static size_t have, room;
  char control[CMSG_SPACE(sizeof(int) * 8)];
  if (room - have < CHUNK && !(data = realloc(data, room = have + 2 * CHUNK))) _exit(99);
  struct iovec part = {data + have, room - have};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(CONTROL_FD, &message, MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) _exit(0);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) && passed_count < MAX_PASSED; i++)
        memcpy(&passed[passed_count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
  have += (size_t)n;
  for (uint32_t size, id; have >= FRAME_HEADER; have -= FRAME_HEADER + size) {
    memcpy(&size, data, 4);
    if (size > MAX_REQUEST) _exit(99);
    if (have < FRAME_HEADER + size) break;
    memcpy(&id, data + 4, 4);
    char after = have > FRAME_HEADER + size ? data[FRAME_HEADER + size] : 0;
    data[FRAME_HEADER + size] = 0; /* one byte is always free behind what was read: CHUNK is kept in reserve */
    handle(id, data[8], data + FRAME_HEADER);
    data[FRAME_HEADER + size] = after;
    memmove(data, data + FRAME_HEADER + size, have - FRAME_HEADER - size);
  }
  if (have == 0 && room > 4 * CHUNK) {
    free(data);
    data = NULL;
    room = 0;
  }
}

/* ---- the loop ---- */

static int wait_ms(uint64_t now) {
  uint64_t next = 0;
  for (struct op *op = ops; op < ops_end; op++)
    if (op->pid > 0 && op->deadline && (!next || op->deadline < next)) next = op->deadline;
  return !next ? -1 : next <= now ? 0 : (int)((next - now) / 1000u + 1);
}

static void deadlines(uint64_t now) {
  for (struct op *op = ops; op < ops_end; op++) {
    if (op->pid <= 0 || op->exited || !op->deadline || op->deadline > now) continue;
    if (op->timed_out) kill(op->pid, SIGKILL);
    op->timed_out = !op->on_file;
    op->waited |= op->timed_out && below_waits(op->pid);
    end_all_of(op);
  }
}

static void loop(int signals) {
  static struct pollfd polled[2 + 2 * MAX_OPS];
  static struct { struct op *op; int which; } source[2 + 2 * MAX_OPS];
  for (;;) {
    nfds_t count = 0;
    polled[count++] = (struct pollfd){CONTROL_FD, POLLIN, 0};
    polled[count++] = (struct pollfd){signals, POLLIN, 0};
    for (struct op *op = ops; op < ops_end; op++)
      for (int which = 0; op->pid && which < 2; which++)
        if (op->out[which].fd >= 0) {
          source[count].op = op;
          source[count].which = which;
          polled[count++] = (struct pollfd){op->out[which].fd, POLLIN, 0};
        }
    if (poll(polled, count, wait_ms(now_us())) < 0 && errno != EINTR) _exit(99);
    for (nfds_t i = 2; i < count; i++)
      if (polled[i].revents) drain(source[i].op, source[i].which);
    if (polled[1].revents) {
      struct signalfd_siginfo info;
      while (read(signals, &info, sizeof info) > 0) {}
      reap();
    }
    for (struct op *op = ops; op < ops_end; op++)
      if (op->pid > 0 && op->exited) finish(op);
    deadlines(now_us());
    if (polled[0].revents) requests();
  }
}

static void fail_start(const char *what) {
  fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
  exit(98);
}

static void lower(int resource, const char *value) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)strtoull(value, NULL, 10);
  if (getrlimit(resource, &limit) < 0) return;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) wanted = limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = wanted;
  if (setrlimit(resource, &limit) < 0) fail_start("setrlimit");
}

static const unsigned kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
                                CAP_SETUID, CAP_SETGID,       CAP_KILL,   CAP_SETFCAP};

/* Root inside keeps what installing packages needs, and nobody can get more, not even by a set-uid program. */
static void drop_capabilities(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  uint64_t keep = 0;
  if (syscall(SYS_capget, &head, sets) < 0) fail_start("capabilities");
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) keep |= 1ull << kept[i];
  for (unsigned cap = 0; cap < 64; cap++)
    if (!(keep >> cap & 1) && prctl(PR_CAPBSET_READ, cap) == 1 && prctl(PR_CAPBSET_DROP, cap) < 0)
      fail_start("capability bounding set");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int half = 0; half < 2; half++) {
    sets[half].permitted &= (uint32_t)(keep >> 32 * half);
    sets[half].effective = sets[half].permitted;
    sets[half].inheritable = 0;
  }
  if (syscall(SYS_capset, &head, sets) < 0) fail_start("capabilities");
}

/* Where no socket could be inherited: the host listens for one connection on a socket that is bound into the sandbox. */
static void connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || dup2(fd, CONTROL_FD) < 0)
    fail_start("control socket");
  if (fd != CONTROL_FD) close(fd);
}

static void feed(int in, char *const *argv) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    dup2(in, 0);
    execve(argv[0], argv, environment);
    _exit(127);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) _exit(97);
  close(in);
}

/* The files of an earlier sandbox, before anything else of this one runs: the host passes a list of what to remove
 * from the image and an archive of what to put in its place. The image's own programs do both. */
static void take_seed(void) {
  char *const removal[] = {"/usr/bin/xargs", "-0", "-r", "rm", "-rf", "--", NULL};
  char *const unpacking[] = {"/bin/tar", "-x", "-p", "-C", "/", "--numeric-owner", "--same-owner", "--xattrs", NULL};
  char byte, control[CMSG_SPACE(2 * sizeof(int))];
  int fds[2];
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(CONTROL_FD, &message, MSG_CMSG_CLOEXEC) != 1) _exit(98);
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fds)) _exit(98);
  memcpy(fds, CMSG_DATA(c), sizeof fds);
  feed(fds[0], removal);
  feed(fds[1], unpacking);
}

/* agent [--pids N] [--data BYTES] [--files N] [--port N] [--connect PATH] [--seed yes]
 *
 * Or, beside a running agent and under the same filter: agent --sweep all, which ends every process but process 1, and
 * agent [--files N] --run PROGRAM ARGUMENTS.
 */
int agent_main(int argc, char **argv) {
  const char *path = NULL;
  char **program = NULL;
  int listener = -1, seed = 0;
  sigset_t child;
  for (int i = 0; i + 1 < argc && !program; i += 2) {
    if (strcmp(argv[i], "--pids") == 0) lower(RLIMIT_NPROC, argv[i + 1]);
    else if (strcmp(argv[i], "--data") == 0) lower(RLIMIT_DATA, argv[i + 1]);
    else if (strcmp(argv[i], "--files") == 0) lower(RLIMIT_NOFILE, argv[i + 1]);
    else if (strcmp(argv[i], "--port") == 0) listener = listen_on((unsigned)strtoul(argv[i + 1], NULL, 10));
    else if (strcmp(argv[i], "--connect") == 0) path = argv[i + 1];
    else if (strcmp(argv[i], "--seed") == 0) seed = 1;
    else if (strcmp(argv[i], "--sweep") == 0) return kill(-1, SIGKILL) < 0;
    else if (strcmp(argv[i], "--run") == 0) program = argv + i + 1;
  }
  drop_capabilities();
  /* Not 0: with that, the host would still run the program that its core_pattern names, as root, for every crash. */
  lower(RLIMIT_CORE, "1");
  if (seccomp_install() < 0) fail_start("seccomp");
  if (program) {
    execv(program[0], program);
    perror(program[0]);
    return 127;
  }
  if (path) connect_to(path); /* last, so that the host sees a failure above as one of the start */
  /* Nobody inside may trace process 1 or look at its descriptors. */
  prctl(PR_SET_DUMPABLE, 0);
  fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
  umask(022);
  if (seed) take_seed();
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  int signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
  int null = open("/dev/null", O_RDWR);
  if (signals < 0 || null < 0) return 98;
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (null > 2) close(null);
  send_hello(listener);
  loop(signals);
  return 0;
}
