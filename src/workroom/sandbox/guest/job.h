/* A job: a command that may outlive the call that started it. Its keeper (keeper.c) is its parent, holds its input and
 * writes its output to files; calls reach the keeper over a socket (job.c) that only this sandbox can see.
 *
 * The files lie in STATE/jobs/NUMBER: stdout, stderr (and *.old, what they were before they became too long), `attached`
 * until the call that started the job has ended, `exit` after the job has ended.
 */
#ifndef WORKROOM_JOB_H
#define WORKROOM_JOB_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_REPLY 1024

/* What a call sends, with its own three descriptors: input is taken from the first, output goes to the others. */
struct talk {
  uint32_t kind;
  uint32_t wait;  /* milliseconds to wait for the end of the job, or until it waits for input */
  uint32_t quiet; /* milliseconds without output after some, upon which the call ends as well; 0: never */
};

enum talk_kind {
  T_LOOK = 'l',      /* shows what is new */
  T_INPUT = 'i',     /* and passes input on, */
  T_END = 'e',       /* ends the input, */
  T_INTERRUPT = 'c', /* interrupts */
  T_STATUS = 's',    /* shows nothing, but tells the title too */
};

struct plan {
  uint32_t number, timeout; /* milliseconds; 0 for none */
  uint64_t cap;             /* bytes of each output file */
  const char *title, *directory;
  char **argv;              /* ends with NULL, and before that has room for the directory */
};

/* One of the two outputs of a job. The file holds the bytes from `start` to `total`. */
struct stream {
  const char *name;
  int pipe, log;               /* -1: at its end; not kept */
  uint64_t total, start, told; /* bytes written by the job, not in the file any more, shown to a call */
  uint64_t lost;               /* of those for the present call that were not kept */
};

const char *job_file(const struct plan *job, const char *name, const char *suffix);
void open_output(struct stream *s, const struct plan *job);
void keep_output(struct stream *s, const struct plan *job, const char *data, size_t size);
uint64_t show_output(struct stream *s, int fd);
void remove_output(struct stream *s, const struct plan *job);

int job_listen(uint32_t number);
_Noreturn void keep_job(const struct plan *plan, int listener);
int write_all(int fd, const char *data, size_t size);
int write_patiently(int fd, const char *data, size_t size);

#endif
