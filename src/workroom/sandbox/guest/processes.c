/* The processes of the sandbox, as /proc shows them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest.h"

#define MAX_PROCESSES 32768
#define MAX_THREADS 64 /* that are looked at in one process */

static ssize_t contents(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, size - 1);
  close(fd);
  if (n >= 0) text[n] = 0;
  return n;
}

/* All processes but process 1; `below` is set in what descends from `top`, at whatever distance. */
int processes_below(pid_t top, const struct process **list) {
  static struct process all[MAX_PROCESSES];
  int count = 0, changed = 1;
  DIR *proc = opendir("/proc");
  *list = all;
  if (!proc) return 0;
  for (struct dirent *e; (e = readdir(proc)) && count < MAX_PROCESSES;) {
    char path[64], text[512], *end;
    long pid = strtol(e->d_name, &end, 10);
    if (*end || pid <= 1) continue;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (contents(path, text, sizeof text) <= 0) continue;
    char *name_end = strrchr(text, ')'), state;
    int parent;
    if (!name_end || sscanf(name_end + 1, " %c %d", &state, &parent) != 2) continue;
    all[count++] = (struct process){(pid_t)pid, parent, state, parent == top};
  }
  closedir(proc);
  while (changed) {
    changed = 0;
    for (int i = 0; i < count; i++)
      for (int j = 0; !all[i].below && j < count; j++)
        if (all[j].below && all[j].pid == all[i].parent) all[i].below = changed = 1;
  }
  return count;
}

int is_alive(const struct process *one) { return one->state != 'Z' && one->state != 'X'; }

/* Signals all that descends from `top` (not itself) in one pass; returns how many were alive. */
int signal_below(pid_t top, int signal) {
  const struct process *all;
  int count = processes_below(top, &all), alive = 0;
  for (int i = 0; i < count; i++)
    if (all[i].below && is_alive(&all[i])) {
      kill(all[i].pid, signal);
      alive++;
    }
  return alive;
}

/* Everything is stopped at once, or a process that is another one every moment would never be caught. What is not below
 * `top` only pauses. */
void end_below(pid_t top) {
  kill(-1, SIGSTOP);
  for (int tries = 0; tries < 200 && signal_below(top, SIGKILL) > 0; tries++) usleep(1000);
  kill(-1, SIGCONT);
}

/* The same for who adopts all that loses its parent below it, and must not stop others: two who did would stop each
 * other. What is new is stopped until nothing new is found. */
void end_own_below(pid_t top) {
  for (int last = -1, now, tries = 0; tries < 50 && (now = signal_below(top, SIGSTOP)) != last; tries++) last = now;
  for (int tries = 0; tries < 200 && signal_below(top, SIGKILL) > 0; tries++) usleep(1000);
}

static int is_input(pid_t pid, unsigned long fd, ino_t pipe) {
  char path[64];
  struct stat st;
  snprintf(path, sizeof path, "/proc/%d/fd/%lu", pid, fd);
  if (stat(path, &st) < 0) return 0;
  if (S_ISFIFO(st.st_mode)) return pipe && st.st_ino == pipe;
  unsigned number = major(st.st_rdev);
  return S_ISCHR(st.st_mode) && ((number >= 136 && number <= 143) || (number == 5 && minor(st.st_rdev) == 0));
}

/* Whether a thread of the process is blocked in reading a terminal, or this pipe (0: none). What cannot be seen (another
 * user's process, a kernel that does not tell) counts as no. */
int waits_for_input(pid_t pid, ino_t pipe) {
  char path[320], text[128];
  int waits = 0, seen = 0;
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *threads = opendir(path);
  if (!threads) return 0;
  for (struct dirent *e; !waits && seen < MAX_THREADS && (e = readdir(threads));) {
    long call;
    unsigned long fd;
    if (e->d_name[0] == '.') continue;
    seen++;
    snprintf(path, sizeof path, "/proc/%d/task/%s/syscall", pid, e->d_name);
    if (contents(path, text, sizeof text) > 0 && sscanf(text, "%ld %lx", &call, &fd) == 2 &&
        (call == SYS_read || call == SYS_readv))
      waits = is_input(pid, fd, pipe);
  }
  closedir(threads);
  return waits;
}
