/* The guest binary: one small static program with four uses.
 *
 *   guest launch ...   outside: prepares a private mount namespace, drops to an unprivileged user, executes bubblewrap
 *   guest seal ...     outside: makes the files of a running sandbox read-only
 *   guest agent ...    inside, as process 1: runs commands and file operations for the host over one inherited socket
 *   guest job ...      inside, as a command of the host: starts, looks at and lists commands that outlive their call
 *
 * Wire format on the socket, both ways: a 9-byte header (u32 payload length, u32 id, u8 kind, little endian) and the
 * payload. Kinds are listed below. The Python side is connection.py.
 */
#ifndef WORKROOM_GUEST_H
#define WORKROOM_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL_VERSION 3
#define CONTROL_FD 3
#define FRAME_HEADER 9
#define MAX_REQUEST (8u << 20)

enum kind {
  /* host to guest */
  K_EXEC = 'X',    /* u32 timeout_ms, u32 cap, u32 argc, u32 envc, u8 has_input, cwd\0 argv\0... env\0...; input
                    * as passed descriptor */
  K_KILL = 'K',    /* ends the operation of this id with all that it started */
  K_READ = 'R',    /* u64 offset, u64 limit, u8 whole (more than the limit is EFBIG), path\0; answered by K_OUT and
                    * K_EXIT (errno) */
  K_WRITE = 'W',   /* u8 exclusive, path\0; contents as passed descriptor; answered by K_EXIT (errno) */
  K_LIST = 'L',    /* u32 max entries, u32 levels (0: all), path\0; answered by K_OUT records and K_EXIT (errno) */
  K_DIRS = 'D',    /* path\0 ...: makes directories and their parents; answered by K_EXIT (errno) */
  K_SWEEP = 'S',   /* kills every process but process 1; answered by K_EXIT */
  K_COUNT = 'N',   /* answered by K_EXIT: how many processes there are besides process 1 */
  /* guest to host */
  K_HELLO = 'H',   /* u32 version; carries the listening socket of the egress port where one was asked for */
  K_OUT = 'O',     /* bytes of standard output */
  K_ERR = 'E',     /* bytes of standard error */
  K_EXIT = 'Z',    /* u32 code, u32 flags, u64 microseconds, u64 of them on a CPU, u64 stdout bytes, u64 stderr
                    * bytes */
};

/* F_RUNNING: processes are left running besides other requests' own; F_WAITED: when it timed out, one of its processes
 * was reading from a terminal. */
enum { F_TIMED_OUT = 1, F_DISK_FULL = 2, F_RUNNING = 4, F_WAITED = 8 };

int launch_main(int argc, char **argv);
int idmap_main(int argc, char **argv);
int confine_main(int argc, char **argv);
int agent_main(int argc, char **argv);
int seal_main(int argc, char **argv);
int job_main(int argc, char **argv);
int seccomp_install(void);
int seccomp_print(void);

/* The table of processes, see processes.c. */
struct process {
  pid_t pid, parent;
  char state;
  int below;
};
int processes_below(pid_t top, const struct process **list);
int is_alive(const struct process *one);
int signal_below(pid_t top, int signal);
void end_below(pid_t top);
void end_own_below(pid_t top);
int waits_for_input(pid_t pid, ino_t pipe);

/* File operations; run in a child process. They read descriptor 0, write descriptor 1 and return 0 or an errno. */
int file_read(const char *path, uint64_t offset, uint64_t limit, int whole);
int file_write(const char *path, int exclusive);
int file_list(const char *path, uint32_t max_entries, uint32_t levels);
/* In the caller's own process: makes a directory and its parents. */
int make_directories(char *path);

#endif
