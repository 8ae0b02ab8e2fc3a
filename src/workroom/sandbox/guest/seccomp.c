/* The system call filter: an allow-list. What is not on it fails with ENOSYS (libraries then fall back), what is known
 * to be dangerous with EPERM, another architecture's calls end the process. It is installed by process 1 on itself
 * after bubblewrap has set everything up, so that every process in the sandbox has it and cannot take it off. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/memfd.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture yet"
#endif

#define NAMESPACE_FLAGS 0x7E020000 /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET */

static const int allowed[] = {
  /* files and directories */
#ifdef __NR_open
  __NR_open, __NR_creat, __NR_stat, __NR_lstat, __NR_access, __NR_rename, __NR_mkdir, __NR_rmdir, __NR_link,
  __NR_unlink, __NR_symlink, __NR_readlink, __NR_chmod, __NR_chown, __NR_lchown, __NR_mknod, __NR_utime, __NR_utimes,
  __NR_futimesat, __NR_getdents, __NR_dup2, __NR_pipe, __NR_poll, __NR_select, __NR_alarm, __NR_pause, __NR_fork,
  __NR_vfork, __NR_getpgrp, __NR_time, __NR_epoll_create, __NR_epoll_wait, __NR_eventfd, __NR_signalfd,
  __NR_inotify_init, __NR_sendfile, __NR_arch_prctl, __NR_epoll_ctl_old, __NR_epoll_wait_old,
#endif
  __NR_openat, __NR_openat2, __NR_close, __NR_close_range, __NR_read, __NR_write, __NR_readv, __NR_writev,
  __NR_pread64, __NR_pwrite64, __NR_preadv, __NR_pwritev, __NR_preadv2, __NR_pwritev2, __NR_lseek, __NR_fstat,
  __NR_newfstatat, __NR_statx, __NR_statfs, __NR_fstatfs, __NR_faccessat, __NR_faccessat2, __NR_renameat2,
#ifdef __NR_renameat
  __NR_renameat,
#endif
  __NR_mkdirat, __NR_mknodat, __NR_linkat, __NR_unlinkat, __NR_symlinkat, __NR_readlinkat, __NR_fchmod, __NR_fchmodat,
#ifdef __NR_fchmodat2
  __NR_fchmodat2,
#endif
  __NR_fchown, __NR_fchownat, __NR_utimensat, __NR_getdents64, __NR_getcwd, __NR_chdir, __NR_fchdir, __NR_umask,
  __NR_truncate, __NR_ftruncate, __NR_fallocate, __NR_fadvise64, __NR_readahead, __NR_sync, __NR_fsync, __NR_fdatasync,
  __NR_syncfs, __NR_sync_file_range, __NR_copy_file_range, __NR_splice, __NR_tee, __NR_vmsplice, __NR_flock,
  __NR_fcntl, __NR_dup, __NR_dup3, __NR_pipe2, __NR_setxattr, __NR_lsetxattr, __NR_fsetxattr, __NR_getxattr,
  __NR_lgetxattr, __NR_fgetxattr, __NR_listxattr, __NR_llistxattr, __NR_flistxattr, __NR_removexattr,
  __NR_lremovexattr, __NR_fremovexattr, __NR_inotify_init1, __NR_inotify_add_watch, __NR_inotify_rm_watch,
  __NR_chroot, __NR_name_to_handle_at,
  /* waiting for something */
  __NR_ppoll, __NR_pselect6, __NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_pwait, __NR_epoll_pwait2, __NR_eventfd2,
  __NR_signalfd4, __NR_timerfd_create, __NR_timerfd_settime, __NR_timerfd_gettime,
  /* memory */
  __NR_brk, __NR_munmap, __NR_mremap, __NR_mprotect, __NR_madvise, __NR_mincore, __NR_msync, __NR_mlock,
  __NR_mlock2, __NR_munlock, __NR_mlockall, __NR_munlockall, __NR_membarrier, __NR_pkey_alloc,
  __NR_pkey_free, __NR_pkey_mprotect, __NR_get_mempolicy, __NR_remap_file_pages,
  /* processes, threads, signals */
  __NR_exit, __NR_exit_group, __NR_wait4, __NR_waitid, __NR_execve, __NR_execveat, __NR_kill, __NR_tkill, __NR_tgkill,
  __NR_getpid, __NR_getppid, __NR_gettid, __NR_getpgid, __NR_setpgid, __NR_getsid, __NR_setsid, __NR_set_tid_address,
  __NR_set_robust_list, __NR_get_robust_list, __NR_futex, __NR_rseq, __NR_prctl, __NR_ptrace, __NR_pidfd_open,
  __NR_pidfd_send_signal, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_rt_sigsuspend,
  __NR_rt_sigpending, __NR_rt_sigtimedwait, __NR_rt_sigqueueinfo, __NR_rt_tgsigqueueinfo, __NR_sigaltstack,
  __NR_restart_syscall, __NR_sched_yield, __NR_sched_getaffinity, __NR_sched_setaffinity, __NR_sched_getparam,
  __NR_sched_setparam, __NR_sched_getscheduler, __NR_sched_setscheduler, __NR_sched_get_priority_max,
  __NR_sched_get_priority_min, __NR_sched_rr_get_interval, __NR_sched_getattr, __NR_sched_setattr, __NR_getpriority,
  __NR_setpriority, __NR_ioprio_get, __NR_ioprio_set, __NR_getrlimit, __NR_getrusage,
  __NR_times, __NR_getcpu, __NR_landlock_create_ruleset, __NR_landlock_add_rule, __NR_landlock_restrict_self,
  __NR_seccomp,
  /* who and what am I */
  __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid, __NR_getresuid, __NR_getresgid, __NR_getgroups, __NR_setuid,
  __NR_setgid, __NR_setreuid, __NR_setregid, __NR_setresuid, __NR_setresgid, __NR_setgroups, __NR_setfsuid,
  __NR_setfsgid, __NR_capget, __NR_capset, __NR_uname, __NR_sysinfo, __NR_getrandom,
  /* time */
  __NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_getitimer,
  __NR_setitimer, __NR_timer_create, __NR_timer_settime, __NR_timer_gettime, __NR_timer_getoverrun, __NR_timer_delete,
  /* sockets, once made (`socket` and `socketpair` are looked at below) and System V and POSIX communication */
  __NR_bind, __NR_listen, __NR_accept, __NR_accept4, __NR_connect, __NR_shutdown, __NR_sendto, __NR_recvfrom,
  __NR_sendmsg, __NR_recvmsg, __NR_sendmmsg, __NR_recvmmsg, __NR_getsockname, __NR_getpeername, __NR_getsockopt,
  __NR_setsockopt, __NR_shmat, __NR_shmctl, __NR_shmdt, __NR_semget, __NR_semop, __NR_semctl,
  __NR_semtimedop, __NR_msgget, __NR_msgsnd, __NR_msgrcv, __NR_msgctl, __NR_mq_open, __NR_mq_unlink,
  __NR_mq_timedsend, __NR_mq_timedreceive, __NR_mq_notify, __NR_mq_getsetattr,
};

/* Allowed but for some flags: new namespaces (clone3 hides its flags behind a pointer, so it is not allowed at all and
 * callers fall back to clone), and huge pages, which the host has set aside for somebody. */
static const struct { int call, argument; unsigned flags; } flagged[] = {
  {__NR_clone, 0, NAMESPACE_FLAGS}, {__NR_mmap, 3, MAP_HUGETLB}, {__NR_memfd_create, 1, MFD_HUGETLB},
  {__NR_shmget, 2, SHM_HUGETLB},
};

/* Known to be dangerous or to reach outside: told so plainly, where ENOSYS might look like an old kernel. */
static const int refused[] = {
  __NR_unshare, __NR_setns, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_move_mount, __NR_open_tree, __NR_fsopen,
  __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr, __NR_bpf, __NR_perf_event_open, __NR_userfaultfd,
  __NR_io_uring_setup, __NR_io_uring_enter, __NR_io_uring_register, __NR_keyctl, __NR_add_key, __NR_request_key,
  __NR_open_by_handle_at, __NR_kexec_load, __NR_init_module, __NR_finit_module, __NR_delete_module, __NR_reboot,
  __NR_swapon, __NR_swapoff, __NR_acct, __NR_syslog, __NR_quotactl, __NR_settimeofday, __NR_clock_settime,
  __NR_adjtimex, __NR_clock_adjtime, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp, __NR_pidfd_getfd,
  __NR_vhangup, __NR_sethostname, __NR_setdomainname, __NR_personality, __NR_fanotify_init, __NR_process_madvise,
  __NR_move_pages, __NR_migrate_pages, __NR_mbind, __NR_set_mempolicy, __NR_lookup_dcookie, __NR_nfsservctl,
#ifdef __NR_iopl
  __NR_iopl, __NR_ioperm, __NR_modify_ldt,
#endif
};

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define ARG(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define LOAD(where) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (where))
#define AND(mask) (struct sock_filter) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (mask))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (what))
/* Jumps over `no` instructions unless equal. */
#define UNLESS(value, no) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (no))
#define IF(value, yes) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), 0)
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
#define PRETEND RETURN(SECCOMP_RET_ERRNO)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define MAX_FILTER 1200

static struct sock_filter filter[MAX_FILTER];
static unsigned short length;

static void add(struct sock_filter instruction) { filter[length++] = instruction; }

static void add_all(const int *calls, size_t count, struct sock_filter verdict) {
  for (size_t i = 0; i < count; i++) {
    add(UNLESS((unsigned)calls[i], 1));
    add(verdict);
  }
}

static void build(void) {
  length = 0;
  add(LOAD(offsetof(struct seccomp_data, arch)));
  add(IF(NATIVE, 1));
  add(RETURN(SECCOMP_RET_KILL_PROCESS));
  add(LOAD(offsetof(struct seccomp_data, nr)));
#ifdef __x86_64__
  /* the x32 calls share the architecture and have bit 30 set */
  add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
  add(RETURN(SECCOMP_RET_KILL_PROCESS));
#endif
  /* Sockets: local ones, TCP and UDP over IPv4 and IPv6, and routing netlink (which lists interfaces). No raw or packet
   * sockets, AF_ALG, AF_VSOCK or anything else, and no other protocol: the kernel would load its module. The upper bits
   * of the type are flags. Another kind of netlink is answered as by a kernel without it: useradd, su and all of PAM
   * give up when the audit socket is forbidden. */
  const int makers[] = {__NR_socket, __NR_socketpair};
  for (size_t i = 0; i < COUNT(makers); i++) {
    add(UNLESS((unsigned)makers[i], 20));
    add(LOAD(ARG(0)));
    add(IF(AF_UNIX, 17));
    add(IF(AF_INET, 6));
    add(IF(AF_INET6, 5));
    add(UNLESS(AF_NETLINK, 3));
    add(LOAD(ARG(2)));
    add(IF(NETLINK_ROUTE, 12));
    add(RETURN(SECCOMP_RET_ERRNO | EPROTONOSUPPORT));
    add(DENY);
    add(LOAD(ARG(1)));
    add(AND(0xf));
    add(IF(SOCK_STREAM, 2));
    add(IF(SOCK_DGRAM, 1));
    add(DENY);
    add(LOAD(ARG(2)));
    add(IF(0, 3));
    add(IF(IPPROTO_TCP, 2));
    add(IF(IPPROTO_UDP, 1));
    add(DENY);
    add(ALLOW);
  }
  for (size_t i = 0; i < COUNT(flagged); i++) {
    add(UNLESS((unsigned)flagged[i].call, 5));
    add(LOAD(ARG((unsigned)flagged[i].argument)));
    add(AND(flagged[i].flags));
    add(UNLESS(0, 1));
    add(ALLOW);
    add(DENY);
  }
  /* ioctl: all but what types into a terminal or loads a module for it */
  add(UNLESS(__NR_ioctl, 6));
  add(LOAD(ARG(1)));
  add(IF(TIOCSTI, 3));
  add(IF(TIOCLINUX, 2));
  add(IF(TIOCSETD, 1));
  add(ALLOW);
  add(DENY);
  /* The limit on core files is 1 (see agent.c) and stays: a change does nothing and seems to succeed. */
#ifdef __NR_setrlimit
  add(UNLESS(__NR_setrlimit, 4));
  add(LOAD(ARG(0)));
  add(UNLESS(RLIMIT_CORE, 1));
  add(PRETEND);
  add(ALLOW);
#endif
  add(UNLESS(__NR_prlimit64, 8));
  add(LOAD(ARG(1)));
  add(UNLESS(RLIMIT_CORE, 5));
  add(LOAD(ARG(2)));
  add(UNLESS(0, 2));
  add(LOAD(ARG(2) + 4));
  add(IF(0, 1));
  add(PRETEND);
  add(ALLOW);
  add_all(allowed, COUNT(allowed), ALLOW);
  add_all(refused, COUNT(refused), DENY);
  add(RETURN(SECCOMP_RET_ERRNO | ENOSYS));
}

int seccomp_install(void) {
  struct sock_fprog program = {.filter = filter};
  build();
  program.len = length;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The filter as text, one instruction a line: code, jump if true, jump if false, operand. For tests and `doctor`. */
int seccomp_print(void) {
  build();
  for (unsigned i = 0; i < length; i++)
    printf("%u %u %u %u\n", filter[i].code, filter[i].jt, filter[i].jf, filter[i].k);
  return 0;
}
