/* The calls about a job, see job.h; each is a command of the host, so that what it prints travels as any output does.
 *
 *   job start STATE WAIT TIMEOUT CAP TITLE PROGRAM ARGUMENTS...   the directory of the job becomes the last argument
 *   job talk STATE NUMBER KIND WAIT QUIET                         input for the job, if any, on standard input
 *   job list STATE                                                what runs, a line each
 *
 * The first two end their standard error with a NUL and a line of facts. Times are in milliseconds.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "job.h"

#define MAX_JOBS 9999
#define MAX_TOLD 50       /* processes in a list */
#define MAX_COMMAND 8192  /* bytes of one's command line */

static char path[PATH_MAX];

int write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

static const char *file_of(const char *state, uint32_t number, const char *name) {
  snprintf(path, sizeof path, "%s/jobs/%u/%s", state, number, name);
  return path;
}

/* A name and no file: it goes with the keeper, and no copy of the files can hold it. */
static socklen_t address_of(uint32_t number, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  int n = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "workroom-job-%u", number);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int job_listen(uint32_t number) {
  struct sockaddr_un address;
  socklen_t size = address_of(number, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 16) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* Sends one request with our descriptors and returns the size of the answer; -1 where no keeper is there. */
static ssize_t ask(uint32_t number, struct talk asked, char answer[MAX_REPLY]) {
  struct sockaddr_un address;
  socklen_t size = address_of(number, &address);
  int fds[] = {0, 1, 2}, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char control[CMSG_SPACE(sizeof fds)];
  struct iovec part = {&asked, sizeof asked};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  memset(control, 0, sizeof control);
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(c), fds, sizeof fds);
  ssize_t have = -1;
  struct timeval patience = {0, 500000}; /* a list must not wait for a keeper that hangs */
  if (fd >= 0 && asked.kind == T_STATUS) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) == 0 &&
      sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof asked) {
    ssize_t n;
    for (have = 0; (n = recv(fd, answer + have, (size_t)(MAX_REPLY - 1 - have), 0)) > 0;) have += n;
    answer[have] = 0;
  }
  if (fd >= 0) close(fd);
  return have;
}

static int finish(const char *facts) {
  write_all(2, "", 1);
  write_all(2, facts, strlen(facts));
  return 0;
}

static void print_from(const char *state, uint32_t number, const char *name, unsigned long long *seen, int fd) {
  static char data[64 << 10];
  int log = open(file_of(state, number, name), O_RDONLY | O_CLOEXEC);
  for (ssize_t n; log >= 0 && (n = pread(log, data, sizeof data, (off_t)*seen)) > 0; *seen += (unsigned long long)n)
    write_all(fd, data, (size_t)n);
  if (log >= 0) close(log);
}

/* The job has ended and was reported, or all processes of the sandbox have: its files are left. */
static int look_back(const char *state, uint32_t number) {
  char text[128] = "", facts[MAX_REPLY];
  int status = 0, timed_out = 0;
  unsigned long long seen[2] = {0, 0};
  struct stat st;
  if (stat(file_of(state, number, "."), &st) < 0) {
    snprintf(facts, sizeof facts, "job=%u unknown=1\n", number);
    return finish(facts);
  }
  int fd = open(file_of(state, number, "exit"), O_RDWR | O_CLOEXEC);
  int known = fd >= 0 && read(fd, text, sizeof text - 1) > 0 &&
              sscanf(text, "%d %d %llu %llu", &status, &timed_out, &seen[0], &seen[1]) == 4;
  print_from(state, number, "stdout", &seen[0], 1);
  print_from(state, number, "stderr", &seen[1], 2);
  if (known) {
    int n = snprintf(text, sizeof text, "%d %d %llu %llu\n", status, timed_out, seen[0], seen[1]);
    if (pwrite(fd, text, (size_t)n, 0) < 0) {} /* then it is shown once more */
  }
  if (fd >= 0) close(fd);
  snprintf(facts, sizeof facts, "job=%u running=0 code=%d timed_out=%d gone=%d\n", number,
           timed_out ? 124 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), timed_out, !known);
  return finish(facts);
}

static int talk(const char *state, uint32_t number, struct talk asked) {
  char answer[MAX_REPLY];
  ssize_t size = ask(number, asked, answer);
  return size > 0 ? finish(answer) : look_back(state, number);
}

static int start(const char *state, uint32_t wait, struct plan plan) {
  static char directory[PATH_MAX];
  int listener = -1;
  mkdir(state, 0755);
  snprintf(directory, sizeof directory, "%s/jobs", state);
  mkdir(directory, 0755);
  for (plan.number = 1; plan.number <= MAX_JOBS; plan.number++) {
    snprintf(directory, sizeof directory, "%s/jobs/%u", state, plan.number);
    if (mkdir(directory, 0755) < 0) {
      if (errno != EEXIST) break;
    } else if ((listener = job_listen(plan.number)) < 0) rmdir(directory);
    if (listener >= 0) break;
  }
  int fd = listener < 0 ? -1 : open(file_of(state, plan.number, "attached"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0) close(fd);
  plan.directory = directory;
  for (char **word = plan.argv;; word++)
    if (!*word) {
      *word = directory; /* its place is that of `job_main`'s own NULL; another follows */
      break;
    }
  pid_t pid = fd < 0 ? -1 : fork();
  if (pid == 0) keep_job(&plan, listener);
  if (pid < 0) {
    fprintf(stderr, "a job cannot be started: %s\n", strerror(errno));
    unlink(file_of(state, plan.number, "attached"));
    rmdir(directory);
    return 254;
  }
  close(listener);
  char answer[MAX_REPLY];
  if (ask(plan.number, (struct talk){T_LOOK, wait, 0}, answer) > 0) {
    if (strstr(answer, "running=0") && strstr(answer, "lingers=0")) waitpid(pid, NULL, 0); /* or it counts as left */
    return finish(answer);
  }
  fputs("a job cannot be started: the sandbox has too many processes, or all were ended\n", stderr);
  return 254;
}

/* ---- the list ---- */

static size_t command_of(pid_t pid, char *text, size_t size) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/cmdline", pid);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  text[n < 0 ? 0 : n] = 0;
  return n < 0 ? 0 : (size_t)n;
}

static int is_ours(pid_t pid, const char *program) {
  char text[256];
  return pid == 1 || (command_of(pid, text, sizeof text) && strcmp(text, program) == 0);
}

static void list_jobs(const char *state, pid_t *roots, int *count) {
  char answer[MAX_REPLY];
  snprintf(path, sizeof path, "%s/jobs", state);
  DIR *jobs = opendir(path);
  for (struct dirent *e; jobs && *count < MAX_JOBS && (e = readdir(jobs));) {
    uint32_t number = (uint32_t)strtoul(e->d_name, NULL, 10);
    char *pid;
    if (!number || ask(number, (struct talk){T_STATUS, 0, 0}, answer) <= 0) continue;
    if ((pid = strstr(answer, " pid="))) roots[(*count)++] = (pid_t)strtol(pid + 5, NULL, 10);
    write_all(1, answer, strlen(answer));
  }
  if (jobs) closedir(jobs);
}

/* Processes at the top: those whose parent is one of our own programs. Words are separated by 0x1f. */
static int list(const char *state, const char *program) {
  static pid_t roots[MAX_JOBS];
  static char command[MAX_COMMAND];
  const struct process *all;
  int jobs = 0, told = 0;
  list_jobs(state, roots, &jobs);
  for (int i = 0, count = processes_below(1, &all); i < count && told < MAX_TOLD; i++) {
    int known = !is_alive(&all[i]);
    for (int j = 0; j < jobs && !known; j++) known = roots[j] == all[i].pid;
    if (known || !is_ours(all[i].parent, program) || is_ours(all[i].pid, program)) continue;
    size_t size = command_of(all[i].pid, command, sizeof command);
    if (size == 0) continue; /* it is just ending */
    for (size_t at = 0; at < size; at++)
      if (command[at] == 0) command[at] = 0x1f;
      else if (command[at] == '\n') command[at] = ' ';
    printf("pid=%d title=%s\n", all[i].pid, command);
    told++;
  }
  return 0;
}

static uint32_t number_of(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

int job_main(int argc, char **argv) {
  if (argc >= 7 && strcmp(argv[0], "start") == 0) {
    char **words = calloc((size_t)argc - 4, sizeof *words); /* from argv[6] on, the directory, NULL */
    if (!words) return 254;
    for (int i = 6; i < argc; i++) words[i - 6] = argv[i];
    return start(argv[1], number_of(argv[2]),
                 (struct plan){0, number_of(argv[3]), strtoull(argv[4], NULL, 10), argv[5], NULL, words});
  }
  if (argc == 6 && strcmp(argv[0], "talk") == 0)
    return talk(argv[1], number_of(argv[2]),
                (struct talk){(uint32_t)argv[3][0], number_of(argv[4]), number_of(argv[5])});
  if (argc == 2 && strcmp(argv[0], "list") == 0) return list(argv[1], argv[-2]);
  fputs("usage: guest job start|talk|list ...\n", stderr);
  return 2;
}
