/* The keeper of a job, see job.h. It waits in one poll for output, callers, the end and whatever is due. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "job.h"

#define CHUNK (64u << 10)
#define FIRST_CHECK 100 /* milliseconds without activity until it is first seen whether the job waits for input */
#define LAST_CHECK 1000 /* and at most between two such looks */
#define PROMPT_AGE 400  /* milliseconds since a prompt was written, until it seems that the job waits */

static const struct plan *job;
static struct stream out[2] = {{.name = "stdout", .pipe = -1, .log = -1}, {.name = "stderr", .pipe = -1, .log = -1}};
static pid_t child;
static int ended, status, timed_out;        /* of the job */
static int input = -1, source = -1, ending; /* its standard input, what is to be written there, whether it ends then */
static ino_t input_inode;
static int caller = -1, caller_out[2];      /* the call that is served */
static uint64_t until, shown;               /* when it ends; bytes shown in it */
static uint32_t quiet;
static int first = 1, told_end;             /* no call has ended yet; one has told that the job has ended */
static uint64_t deadline;                   /* of the job; 0: none */
static uint64_t active, check, interval;    /* last activity; next look whether it waits for input */
static char last[2];                        /* the last bytes that the job wrote */
static char chunk[CHUNK];

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static void touched(void) {
  active = now_ms();
  interval = FIRST_CHECK;
  check = active + interval;
}

/* ---- output ---- */

/* Reads once from the job. Returns 0 when there was nothing to read now or ever. */
static int take(int which) {
  struct stream *s = &out[which];
  if (s->pipe < 0) return 0;
  ssize_t n = read(s->pipe, chunk, sizeof chunk);
  if (n > 0) {
    int live = caller >= 0 && s->told == s->total;
    last[0] = n > 1 ? chunk[n - 2] : last[1];
    last[1] = chunk[n - 1];
    keep_output(s, job, chunk, (size_t)n);
    if (live) { /* also where nothing can be kept */
      write_patiently(caller_out[which], chunk, (size_t)n);
      s->told += (uint64_t)n;
      shown += (uint64_t)n;
    }
    touched();
    return 1;
  }
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    close(s->pipe);
    s->pipe = -1;
  }
  return 0;
}

/* ---- input ---- */

static void close_input(void) {
  if (input >= 0) close(input);
  input = -1;
}

static void drop_source(void) {
  close(source);
  source = -1;
  if (ending) close_input();
}

static void pass_on(void) {
  ssize_t n = read(source, chunk, PIPE_BUF); /* so much is written whole or not at all */
  if (n <= 0) {
    drop_source();
    return;
  }
  ssize_t written = write(input, chunk, (size_t)n);
  if (written == n) {
    touched();
    last[0] = last[1] = 0; /* a prompt before it says nothing now */
  } else if (written < 0 && errno == EAGAIN) lseek(source, -n, SEEK_CUR);
  else {
    close_input(); /* the job does not read any more */
    drop_source();
  }
}

/* 1: the job is blocked in reading its input or a terminal, and nothing of it works; 2: it looks like that, since it has
 * written what may be a prompt and then, for `age` milliseconds, nothing. */
static int waiting(uint64_t age) {
  const struct process *all;
  int count, unread = 0, reads = 0;
  if (ended || source >= 0 || (input >= 0 && ioctl(input, FIONREAD, &unread) == 0 && unread)) return 0;
  count = processes_below(getpid(), &all);
  for (int i = 0; i < count; i++)
    if (all[i].below && (all[i].state == 'R' || all[i].state == 'D')) return 0;
  for (int i = 0; i < count && !reads; i++) reads = all[i].below && waits_for_input(all[i].pid, input_inode);
  if (reads) return 1;
  char prompt = last[1] == ' ' ? last[0] : last[1];
  return now_ms() - active >= age && prompt && strchr(":?>$#", prompt) ? 2 : 0;
}

/* ---- callers ---- */

/* Whether something that the ended job has started still holds its output. */
static int lingers(void) { return out[0].pipe >= 0 || out[1].pipe >= 0; }

static void reply(int fd, int waits, int busy, int with_title) {
  char text[MAX_REPLY];
  struct stat st;
  int unread = 0, code = timed_out ? 124 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (input >= 0) ioctl(input, FIONREAD, &unread);
  if (source >= 0 && fstat(source, &st) == 0) unread += (int)(st.st_size - lseek(source, 0, SEEK_CUR));
  int n = snprintf(text, sizeof text,
                   "job=%u running=%d code=%d timed_out=%d waiting=%d pid=%d unread=%d closed=%d busy=%d lingers=%d lost=%llu%s%s\n",
                   job->number, !ended, code, timed_out, waits, child, unread, input < 0, busy,
                   lingers(), (unsigned long long)(out[0].lost + out[1].lost), with_title ? " title=" : "",
                   with_title ? job->title : "");
  send(fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, MSG_NOSIGNAL);
}

static void remove_files(void) {
  for (int which = 0; which < 2; which++) remove_output(&out[which], job);
  unlink(job_file(job, "attached", ""));
  rmdir(job->directory);
}

/* For calls that come after the keeper: the exit code, and from where on the files were not shown. */
static void note_end(void) {
  char text[128];
  uint64_t seen[2];
  for (int which = 0; which < 2; which++)
    seen[which] = out[which].told > out[which].start ? out[which].told - out[which].start : 0;
  int n = snprintf(text, sizeof text, "%d %d %llu %llu\n", status, timed_out, (unsigned long long)seen[0],
                   (unsigned long long)seen[1]);
  int fd = open(job_file(job, "exit", ""), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return;
  write_all(fd, text, (size_t)n);
  close(fd);
}

/* The call ends; without `says` its end of the socket is gone. */
static void let_go(int says, int waits) {
  if (ended && first) remove_files();
  else if (first) unlink(job_file(job, "attached", ""));
  else if (ended) note_end();
  told_end = ended && says;
  first = 0;
  if (says) reply(caller, waits, 0, 0);
  if (told_end && !lingers()) _exit(0); /* that closes the socket: the caller sees its end when nothing is left */
  close(caller);
  for (int which = 0; which < 2; which++) close(caller_out[which]), out[which].lost = 0;
  caller = -1;
}

static void serve(int fd, struct talk asked, const int passed[3]) {
  if (caller >= 0) let_go(1, 0);
  caller = fd;
  caller_out[0] = passed[1];
  caller_out[1] = passed[2];
  shown = 0;
  quiet = asked.quiet;
  until = now_ms() + asked.wait;
  touched();
  for (int which = 0; which < 2; which++) shown += show_output(&out[which], caller_out[which]);
  if (asked.kind == T_INPUT && input >= 0) source = passed[0];
  else close(passed[0]);
  if (asked.kind == T_INTERRUPT && !ended && kill(-child, SIGINT) < 0) kill(child, SIGINT); /* it has no group yet */
  if (asked.kind == T_END) {
    ending = 1;
    if (source < 0) close_input();
  }
}

static void accept_call(int listener) {
  struct talk asked;
  struct timeval patience = {1, 0};
  int passed[3];
  char control[CMSG_SPACE(sizeof passed)];
  struct iovec part = {&asked, sizeof asked};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  int count = c && c->cmsg_type == SCM_RIGHTS ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
  for (int more; count > 3; count--) { /* the space for three has, rounded up, room for one more */
    memcpy(&more, CMSG_DATA(c) + sizeof(int) * (size_t)(count - 1), sizeof more);
    close(more);
  }
  if (count > 0) memcpy(passed, CMSG_DATA(c), sizeof(int) * (size_t)count);
  if (n == sizeof asked && count == 3 && asked.kind != T_STATUS && !(asked.kind == T_INPUT && source >= 0)) {
    serve(fd, asked, passed);
    return;
  }
  if (n == sizeof asked) {
    reply(fd, waiting(PROMPT_AGE), asked.kind == T_INPUT, asked.kind == T_STATUS);
    if (ended && asked.kind == T_STATUS) told_end = 1;
  }
  for (int i = 0; i < count; i++) close(passed[i]);
  close(fd);
}

/* ---- the job itself ---- */

static _Noreturn void run(char **argv, const int fds[3]) {
  sigset_t none;
  setsid();
  for (int fd = 0; fd < 3; fd++) dup2(fds[fd], fd);
  signal(SIGPIPE, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execvp(argv[0], argv);
  fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

static int start(void) {
  int in[2], pipes[2][2];
  struct stat st;
  if (pipe2(in, O_CLOEXEC) < 0 || pipe2(pipes[0], O_CLOEXEC) < 0 || pipe2(pipes[1], O_CLOEXEC) < 0) return -1;
  child = fork();
  if (child == 0) run(job->argv, (int[]){in[0], pipes[0][1], pipes[1][1]});
  close(in[0]);
  input = in[1];
  fcntl(input, F_SETFL, O_NONBLOCK);
  if (fstat(input, &st) == 0) input_inode = st.st_ino;
  for (int which = 0; which < 2; which++) {
    close(pipes[which][1]);
    out[which].pipe = pipes[which][0];
    fcntl(out[which].pipe, F_SETFL, O_NONBLOCK);
    open_output(&out[which], job);
  }
  return child < 0 ? -1 : 0;
}

static void reap(void) {
  int how;
  for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
    if (pid == child) {
      ended = 1;
      status = how;
      /* What the ended process left in the pipe is at most its capacity; more is a background process's. */
      for (int which = 0; which < 2; which++)
        for (unsigned n = 0; n < (1u << 20) / CHUNK && take(which); n++) {}
      close_input();
      if (source >= 0) drop_source();
      if (!first) note_end();
    }
}

static void sooner(uint64_t *due, uint64_t when) {
  if (when < *due) *due = when;
}

static int wait_ms(uint64_t now) {
  uint64_t due = UINT64_MAX;
  if (deadline && !ended) sooner(&due, deadline);
  if (caller >= 0) {
    sooner(&due, until);
    sooner(&due, check);
    if (quiet && shown) sooner(&due, active + quiet);
  }
  return due == UINT64_MAX ? -1 : due <= now ? 0 : due - now > INT_MAX ? INT_MAX : (int)(due - now);
}

static void whatever_is_due(uint64_t now) {
  if (deadline && !ended && now >= deadline) {
    timed_out = 1;
    deadline = 0;
    end_own_below(getpid());
  }
  if (caller < 0) return;
  if (ended) let_go(1, 0);
  else if (now >= until || (quiet && shown && now - active >= quiet)) let_go(1, waiting(PROMPT_AGE));
  else if (now >= check) {
    int waits = waiting(LAST_CHECK);
    if (waits) let_go(1, waits);
    interval = interval * 2 < LAST_CHECK ? interval * 2 : LAST_CHECK;
    check = now + interval;
  }
}

static void loop(int listener, int signals) {
  struct signalfd_siginfo info;
  while (!told_end || lingers()) {
    if (told_end && listener >= 0) { /* whoever asks now finds the files */
      close(listener);
      listener = -1;
    }
    struct pollfd polled[] = {
      {signals, POLLIN, 0},     {listener, POLLIN, 0},    {caller, 0, 0},
      {out[0].pipe, POLLIN, 0}, {out[1].pipe, POLLIN, 0}, {source >= 0 ? input : -1, POLLOUT, 0},
    };
    if (poll(polled, 6, wait_ms(now_ms())) < 0 && errno != EINTR) _exit(99);
    for (int which = 0; which < 2; which++)
      if (polled[3 + which].revents) take(which);
    if (polled[5].revents) pass_on();
    if (polled[0].revents) {
      while (read(signals, &info, sizeof info) > 0) {}
      reap();
    }
    if (polled[2].revents) let_go(0, 0);
    if (polled[1].revents) accept_call(listener);
    whatever_is_due(now_ms());
  }
}

/* Everything that runs below stays below, also what loses its parent; when the keeper goes, process 1 takes the rest. */
_Noreturn void keep_job(const struct plan *plan, int listener) {
  sigset_t ends;
  job = plan;
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  int signals = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (signals < 0 || null < 0) _exit(98);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (start() < 0) {
    remove_files();
    _exit(98);
  }
  if (plan->timeout) deadline = now_ms() + plan->timeout;
  loop(listener, signals);
  _exit(0);
}
