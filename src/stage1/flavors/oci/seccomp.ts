/**
 * The default system call filter: what Docker's default profile allows, capability by capability.
 *
 * rkt's default let a forbidden call end the process by SIGSYS (rkt.md 2.11). Programs built since then probe
 * for calls and fall back on an error, so here a call we know and forbid gives EPERM, and one nobody had heard of when
 * this list was written gives ENOSYS: a C library newer than the list takes its fallback instead of failing.
 * @see https://docs.docker.com/engine/security/seccomp/
 */
import type { OciSeccomp, OciSyscallArg, OciSyscallRule } from './oci-spec.ts';

const EPERM = 1;
const ENOSYS = 38;
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const allowed = words(`
  accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
  clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
  creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
  execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown
  fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
  fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64
  getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority
  getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area
  gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy
  io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64
  madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2
  modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap
  msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause
  pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
  process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink
  readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir
  rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
  rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
  select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid
  setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
  setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr shmat
  shmctl shmdt shmget shutdown sigaltstack signal signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs
  statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
  timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
  truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write
  writev`);

/** Calls that are only useful, and only allowed, with a capability. */
const byCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: words('open_by_handle_at'),
  CAP_SYS_ADMIN: words(`bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
    perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`),
  CAP_BPF: words('bpf'),
  CAP_PERFMON: words('perf_event_open'),
  CAP_SYS_BOOT: words('reboot'),
  CAP_SYS_CHROOT: words('chroot'),
  CAP_SYS_MODULE: words('delete_module init_module finit_module'),
  CAP_SYS_PACCT: words('acct'),
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise'),
  CAP_SYS_RAWIO: words('iopl ioperm'),
  CAP_SYS_TIME: words('settimeofday stime clock_settime clock_settime64'),
  CAP_SYS_TTY_CONFIG: words('vhangup'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYSLOG: words('syslog'),
};

/** Calls nobody gets: EPERM instead of the unknown call's ENOSYS. */
const refused = words(`
  add_key keyctl request_key userfaultfd kexec_load kexec_file_load io_uring_setup io_uring_enter io_uring_register nfsservctl pivot_root
  swapon swapoff sysfs _sysctl uselib ustat vm86 vm86old move_pages migrate_pages create_module get_kernel_syms query_module`);

const equals = (index: number, value: number): OciSyscallArg => ({ index, value, op: 'SCMP_CMP_EQ' });
const allow = (names: readonly string[], args?: readonly OciSyscallArg[]): OciSyscallRule => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args === undefined ? {} : { args }),
});
const fail = (names: readonly string[], errnoRet: number, args?: readonly OciSyscallArg[]): OciSyscallRule => ({
  names,
  action: 'SCMP_ACT_ERRNO',
  errnoRet,
  ...(args === undefined ? {} : { args }),
});

/** CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}: a thread or process may be made, a namespace may not. */
const newNamespaceBits = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000];
const newNamespaces = newNamespaceBits.reduce((all, bit) => all + bit, 0);
/** Conditions of a rule are and-ed, so "any of these bits" takes a rule for each. */
const makesNamespaceFail = newNamespaceBits.map((bit) => fail(['clone'], EPERM, [{ index: 0, value: bit, valueTwo: bit, op: 'SCMP_CMP_MASKED_EQ' }]));
/** ADDR_NO_RANDOMIZE, UNAME26, their sum, the native one, and "what have I got". */
const personalities = [0, 0x0008, 0x20000, 0x20008, 0xffffffff];
const AF_VSOCK = 40;

/**
 * Architectures whose calls the filter knows, by the image's own (GOARCH). Only those: each costs crun 4-5 ms of
 * compiling at every start (18.8 ms for a container with the three of x86, 9.1 with one, 6.6 without a filter), and the
 * kernel's 32-bit entry is attack surface that a 64-bit image has no use for. A program of another architecture ends
 * by SIGSYS.
 */
const architectures: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  '386': 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
};

/** Filter for a process that has `capabilities`. `imageArchitecture`: as the image names it; an unknown one gets the machine's own. */
export function defaultSeccomp(capabilities: ReadonlySet<string>, imageArchitecture: string): OciSeccomp {
  const granted = new Set(Object.entries(byCapability).flatMap(([capability, names]) => (capabilities.has(capability) ? names : [])));
  const withheld = Object.values(byCapability)
    .flat()
    .filter((name) => !granted.has(name));
  const mayMakeNamespaces = capabilities.has('CAP_SYS_ADMIN');
  const architecture = architectures[imageArchitecture];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    architectures: architecture === undefined ? [] : [architecture],
    syscalls: [
      allow([...allowed, ...granted].sort()),
      ...personalities.map((value) => allow(['personality'], [equals(0, value)])),
      // Its protocol reaches the hypervisor, past every network policy.
      allow(['socket'], [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }]),
      fail(['socket'], EPERM, [equals(0, AF_VSOCK)]),
      ...(mayMakeNamespaces
        ? [allow(['clone'])]
        : // clone3 keeps its flags in memory, where a filter cannot look: without a rule it is ENOSYS, which sends the C library back to clone.
          [allow(['clone'], [{ index: 0, value: newNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]), ...makesNamespaceFail]),
      fail([...new Set([...refused, ...withheld])].filter((name) => name !== 'clone3').sort(), EPERM),
    ],
  };
}
