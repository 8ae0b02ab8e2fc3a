/* The output files of a job, see job.h. Anything in the sandbox may change or remove them; then that output is lost. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "job.h"

#define PATIENCE 2000 /* milliseconds */

/* Good until the call after the next one. */
const char *job_file(const struct plan *job, const char *name, const char *suffix) {
  static char path[2][PATH_MAX];
  static int turn;
  turn = !turn;
  snprintf(path[turn], PATH_MAX, "%s/%s%s", job->directory, name, suffix);
  return path[turn];
}

void open_output(struct stream *s, const struct plan *job) {
  s->log = open(job_file(job, s->name, ""), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
}

static void empty(struct stream *s) {
  if (s->log < 0 || ftruncate(s->log, 0) == 0) return;
  close(s->log);
  s->log = -1;
}

void keep_output(struct stream *s, const struct plan *job, const char *data, size_t size) {
  if (s->log >= 0 && s->total > s->start && s->total - s->start + size > job->cap) {
    rename(job_file(job, s->name, ""), job_file(job, s->name, ".old"));
    close(s->log);
    open_output(s, job);
    s->start = s->total;
  }
  s->total += size;
  if (s->log >= 0 && write_all(s->log, data, size) == 0) return;
  empty(s); /* the disk is full: that makes room */
  s->start = s->total;
}

/* To a caller, who may have handed over a pipe that nobody reads: given up where nothing can be written for a while. */
int write_patiently(int fd, const char *data, size_t size) {
  while (size) {
    struct pollfd ready = {fd, POLLOUT, 0};
    size_t part = size < PIPE_BUF ? size : PIPE_BUF; /* so much never blocks then */
    if (poll(&ready, 1, PATIENCE) <= 0 || write_all(fd, data, part) < 0) return -1;
    data += part;
    size -= part;
  }
  return 0;
}

/* Writes what no call has seen yet to a descriptor; returns how much that was. */
uint64_t show_output(struct stream *s, int fd) {
  static char chunk[64 << 10];
  uint64_t shown = 0;
  while (s->told < s->total) {
    ssize_t n = 0;
    if (s->told < s->start) {
      s->lost += s->start - s->told;
      s->told = s->start;
    }
    if (s->told < s->total) n = pread(s->log, chunk, sizeof chunk, (off_t)(s->told - s->start));
    if (n > 0) {
      if (write_patiently(fd, chunk, (size_t)n) < 0) return shown;
      s->told += (uint64_t)n;
      shown += (uint64_t)n;
    } else { /* nothing is left, or something has shortened the file */
      s->lost += s->total - s->told;
      s->start = s->told = s->total;
      empty(s);
    }
  }
  return shown;
}

void remove_output(struct stream *s, const struct plan *job) {
  unlink(job_file(job, s->name, ""));
  unlink(job_file(job, s->name, ".old"));
  if (s->log >= 0) close(s->log);
  s->log = -1;
}
