/* The processes of a pod: its init and, for each app, the crun that makes it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor.h"

/* Leaves nothing of the host's file systems reachable through /proc/1/root and /proc/1/cwd: an app with
 * CAP_SYS_PTRACE may look there, and ".." of a mere chroot would lead out. Also keeps init from holding the
 * host's mounts busy (rkt issue 1922). Runs in init's own mount namespace. */
static int leave_host_root(const struct pod *pod) {
  char root[4096];
  /* By path: our descriptor of the pod directory belongs to the supervisor's mount namespace. */
  if (!JOIN(root, pod->dir, "/crun")) return ENAMETOOLONG;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return errno;
  if (mount("rkt-init", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0555") != 0) return errno;
  if (chdir(root) != 0) return errno;
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    if (umount2(".", MNT_DETACH) != 0) return errno;
  } else {
    /* The initial ramfs cannot be pivoted away from, only covered. */
    if (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0) return errno;
  }
  return chdir("/") == 0 ? 0 : errno;
}

static int become_init(const struct pod *pod) {
  if (pod->netns != NULL && setns(FD_NET_NS, CLONE_NEWNET) != 0) return errno;
  if (sethostname(pod->hostname, strlen(pod->hostname)) != 0) return errno;
  return leave_host_root(pod);
}

/* PID 1 of the pod: adopts and reaps orphans, and ends every process of the pod by ending. */
static _Noreturn void init(const struct pod *pod, int report, int report_peer, char *args, size_t args_size) {
  /* Closes the race of PR_SET_PDEATHSIG: had the supervisor died before the prctl, nobody would hold the other
   * end of the pipe any more, and the write below would fail (a pid 1 is spared the SIGPIPE). */
  close(report_peer);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int error = become_init(pod);
  prctl(PR_SET_NAME, "rkt-init");
  /* Inside the pod ps must not show where the pod lives on the host. */
  memset(args, 0, args_size);
  memcpy(args, "rkt-init", args_size > 8 ? 8 : 0);
  if (write(report, &error, sizeof error) != sizeof error || error != 0) _exit(1);
  syscall(SYS_close_range, 0, ~0U, 0);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  for (;;) {
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    forget_code();
    sigwaitinfo(&child, NULL);
  }
}

static bool hold_namespace(pid_t pid, const char *kind, int at) {
  char path[64];
  struct text text = text_in(path, sizeof path);
  put(&text, "/proc/");
  put_number(&text, pid);
  put(&text, "/ns/");
  put(&text, kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool held = dup3(fd, at, O_CLOEXEC) == at;
  close(fd);
  return held;
}

bool start_init(struct pod *pod, char *args, size_t args_size) {
  if (pod->netns != NULL) {
    int fd = open(pod->netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup3(fd, FD_NET_NS, O_CLOEXEC) < 0) {
      SAY(errno, "cannot open network namespace ", pod->netns);
      return false;
    }
    close(fd);
  }
  int report[2], error = 0;
  if (pipe2(report, O_CLOEXEC) != 0) {
    SAY(errno, "cannot make a pipe");
    return false;
  }
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) init(pod, report[1], report[0], args, args_size);
  int failure = errno;
  close(report[1]);
  if (pid > 0) {
    pod->init = pid;
    ssize_t got;
    do got = read(report[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    failure = got == sizeof error ? error : ESRCH;
  }
  close(report[0]);
  if (failure != 0 || pid < 0) {
    SAY(failure, "cannot start the init of the pod");
    return false;
  }
  if (hold_namespace(pid, "pid", FD_PID_NS) && hold_namespace(pid, "ipc", FD_IPC_NS) && hold_namespace(pid, "uts", FD_UTS_NS)) return true;
  SAY(errno, "cannot hold the namespaces of the pod");
  return false;
}

/* The first process in a while to change its control group waits for an RCU grace period (10 ms on small machines), whoever
 * comes meanwhile waits for the rest of it, and who comes soon after not at all (cgroup_threadgroup_rwsem). crun gets there
 * some 10 ms after its start, so a child of ours goes first. A zombie of it does not keep the group from being removed. */
void hasten_cgroup_changes(const struct pod *pod) {
  if (fork() != 0) return;
  char path[4096];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != pod->self || !JOIN(path, pod->cgroup, "/cgroup.procs")) _exit(1);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  _exit(fd >= 0 && write(fd, "0", 1) == 1 ? 0 : 1);
}

static _Noreturn void exec_crun(const struct pod *pod, const struct app *app) {
  char root[4096], bundle[4096], pid_file[4096], id[160];
  char uuid8[9] = {0};
  strncpy(uuid8, pod->uuid, sizeof uuid8 - 1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != pod->self) _exit(127);
  if (!JOIN(root, pod->dir, "/crun") || !JOIN(bundle, pod->dir, "/bundles/", app->name) || !JOIN(pid_file, bundle, "/pid") ||
      !JOIN(id, uuid8, "-", app->name)) {
    SAY(ENAMETOOLONG, "cannot start app ", app->name);
    _exit(127);
  }
  /* ^C while the pod starts is for us to forward, not for crun to die of. A crun that relays a terminal must stay
   * in the foreground group instead, or changing the terminal's mode would stop it. */
  if (!pod->terminal) setpgid(0, 0);
  /* Ignored signals outlive execve; an app starts with none, however rkt was started (nohup, "&"). */
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (!pod->interactive) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) != 0) _exit(127);
  }
  const char *argv[] = {"crun", "--root", root, "--cgroup-manager=cgroupfs", "run", "--bundle", bundle, "--pid-file", pid_file,
                        pod->terminal ? id : "--detach", pod->terminal ? NULL : id, NULL};
  /* Where crun keeps a file for a moment while it seals its own executable; else /tmp, for ever if it is killed then. */
  if (setenv("_LIBCONTAINER_STATEDIR", pod->dir, 1) != 0) _exit(127);
  execve(pod->crun, (char *const *)argv, environ);
  SAY(errno, "cannot run ", pod->crun);
  _exit(127);
}

bool start_app(const struct pod *pod, struct app *app) {
  app->state = APP_STARTING;
  app->pid = fork();
  if (app->pid == 0) exec_crun(pod, app);
  if (app->pid > 0) return true;
  SAY(errno, "cannot start app ", app->name);
  return false;
}
