/* rkt-supervisor: what remains of `rkt run` while a pod runs. It has the pid and the lock of the stage0 it
 * replaced, starts the pod's init and apps, and waits for signals: ends of children, and what the user wants.
 * argv, files, guarantees: ../../README.md. One thread, no malloc, no stdio. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "release.h"
#include "supervisor.h"

static struct pod pod = {.grace_ms = 10000, .dir_fd = -1, .mounts_fd = -1};
static int lock_fd = -1;
/* exit code of the first app that failed */
static int pod_code;
/* what the pod held is freed before this process ends, not after it */
static bool release_first;
static bool stopping, killing, ready_written;
static long long grace_ends_ms;

/* ---- command line ------------------------------------------------------------------------------- */

/* NAME:SIGNAL, cut in place. */
static bool parse_app(char *text) {
  char *colon = strrchr(text, ':');
  if (colon == NULL || colon == text || pod.app_count == MAX_APPS) return false;
  long number = parse_number(colon + 1);
  if (number < 1 || number > 64 || colon - text > 128) return false;
  *colon = '\0';
  pod.apps[pod.app_count++] = (struct app){.name = text, .stop_signal = (int)number};
  return true;
}

static bool parse_option(const char *name, char *value) {
  if (strcmp(name, "--pod-dir") == 0) pod.dir = value;
  else if (strcmp(name, "--uuid") == 0) pod.uuid = value;
  else if (strcmp(name, "--netns") == 0) pod.netns = value;
  else if (strcmp(name, "--hostname") == 0) pod.hostname = value;
  else if (strcmp(name, "--crun") == 0) pod.crun = value;
  else if (strcmp(name, "--cgroup") == 0) pod.cgroup = value;
  else if (strcmp(name, "--app") == 0) return parse_app(value);
  else if (strcmp(name, "--lock-fd") == 0) return (lock_fd = (int)parse_number(value)) > 2;
  else if (strcmp(name, "--mounts-fd") == 0) return (pod.mounts_fd = (int)parse_number(value)) > 2;
  else if (strcmp(name, "--grace-ms") == 0) return (pod.grace_ms = parse_number(value)) >= 0;
  else return false;
  return *value != '\0';
}

static bool parse(int argc, char **argv) {
  bool host_net = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--host-net") == 0) host_net = true;
    else if (strcmp(argv[i], "--release-first") == 0) release_first = true;
    else if (strcmp(argv[i], "--interactive") == 0) pod.interactive = true;
    else if (strcmp(argv[i], "--terminal") == 0) pod.interactive = pod.terminal = true;
    else if (i + 1 >= argc || !parse_option(argv[i], argv[i + 1])) {
      SAY(0, "supervisor: bad argument ", argv[i]);
      return false;
    } else i++;
  }
  if (pod.dir != NULL && pod.uuid != NULL && pod.hostname != NULL && pod.crun != NULL && pod.cgroup != NULL && lock_fd > 2 && pod.app_count > 0 &&
      host_net == (pod.netns == NULL) && (!pod.terminal || pod.app_count == 1))
    return true;
  SAY(0, "supervisor: incomplete arguments");
  return false;
}

/* ---- time --------------------------------------------------------------------------------------- */

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- stopping ----------------------------------------------------------------------------------- */

/* Apps that are still being started get theirs when their pid is known. */
static void signal_apps(int number) {
  for (unsigned i = 0; i < pod.app_count; i++) {
    struct app *app = &pod.apps[i];
    if (app->state == APP_RUNNING) kill(app->pid, number);
    else if (app->state == APP_STARTING) app->owed_signals |= 1ULL << (number - 1);
  }
}

static void pay_owed_signals(struct app *app) {
  for (int number = 1; app->owed_signals != 0; number++, app->owed_signals >>= 1)
    if ((app->owed_signals & 1) != 0) kill(app->pid, number);
}

static void kill_apps(void) {
  killing = true;
  for (unsigned i = 0; i < pod.app_count; i++) {
    struct app *app = &pod.apps[i];
    if (app->state == APP_ENDED) continue;
    /* A crun that relays a terminal has to live on for a moment: it puts the terminal's mode back. */
    pid_t inside = pod.terminal ? read_crun_pid(&pod, app) : 0;
    kill(inside > 0 ? inside : app->pid, SIGKILL);
  }
}

/* Asks every app to end in its own way; what is left after the grace time is killed. */
static void stop_apps(void) {
  if (!stopping) grace_ends_ms = now_ms() + pod.grace_ms;
  stopping = true;
  for (unsigned i = 0; i < pod.app_count; i++)
    if (pod.apps[i].state == APP_RUNNING) kill(pod.apps[i].pid, pod.apps[i].stop_signal);
}

/* ---- children ----------------------------------------------------------------------------------- */

static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

/* rkt 2.3: an app that succeeds leaves the others running, one that fails ends the pod with its code. */
static void app_ended(struct app *app, int code) {
  app->state = APP_ENDED;
  write_status(&pod, app, code);
  if (code == 0) return;
  if (pod_code == 0) pod_code = code;
  if (!stopping) stop_apps();
}

static void app_started(struct app *app, pid_t pid) {
  char name[192];
  app->state = APP_RUNNING;
  if (JOIN(name, "stage1/rootfs/rkt/pid/", app->name)) write_pid_file(&pod, name, pid);
  if (!pod.terminal) app->pid = pid;
  pay_owed_signals(app);
  if (killing) kill(app->pid, SIGKILL);
  else if (stopping) kill(app->pid, app->stop_signal);
}

static void crun_ended(struct app *app, int status) {
  pid_t pid = read_crun_pid(&pod, app);
  if (pod.terminal && pid > 0) {
    app_ended(app, code_of(status));
    return;
  }
  if (!pod.terminal && status == 0 && pid > 0) {
    app_started(app, pid);
    return;
  }
  if (!killing) {
    SAY(0, "app ", app->name, " could not be started [ERR_STAGE1_LAUNCH]");
    hint_full_disk(&pod);
  }
  app_ended(app, EXIT_SETUP);
}

/* While crun runs, a dead child that we do not know may be an app whose pid crun is about to tell: children are
 * asked for by pid until every app is known, and only then is everybody reaped. */
static void reap(void) {
  bool starting = false;
  int status;
  for (unsigned i = 0; i < pod.app_count; i++) {
    struct app *app = &pod.apps[i];
    if (app->state == APP_STARTING && waitpid(app->pid, &status, WNOHANG) == app->pid) crun_ended(app, status);
    if (app->state == APP_RUNNING && waitpid(app->pid, &status, WNOHANG) == app->pid) app_ended(app, code_of(status));
    starting |= app->state == APP_STARTING;
  }
  if (starting) return;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == pod.init) pod.init = 0;
    for (unsigned i = 0; i < pod.app_count; i++)
      if (pod.apps[i].state == APP_RUNNING && pod.apps[i].pid == pid) app_ended(&pod.apps[i], code_of(status));
  }
}

static bool any_app_in(enum app_state state) {
  for (unsigned i = 0; i < pod.app_count; i++)
    if (pod.apps[i].state == state) return true;
  return false;
}

/* A terminal pod's crun does not end when its app has started: it writes the pid file. */
static void look_for_terminal_app(void) {
  struct app *app = &pod.apps[0];
  pid_t pid = read_crun_pid(&pod, app);
  if (pid > 0) app_started(app, pid);
}

/* ---- main loop ---------------------------------------------------------------------------------- */

static void on_signal(int number) {
  switch (number) {
    case SIGCHLD: reap(); break;
    case SIGINT:
      /* ^C again: the user has waited long enough. `rkt stop` repeats TERM, which may not have that meaning. */
      if (stopping) kill_apps();
      else stop_apps();
      break;
    case SIGTERM: stop_apps(); break;
    default:
      if (number == FORCE_SIGNAL) {
        stopping = true;
        kill_apps();
      } else signal_apps(number);
  }
}

/* Signals we act on, blocked from here on. One that was ignored when rkt was started (nohup, "&") stays ignored. */
static sigset_t handled_signals(void) {
  static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, FORCE_SIGNAL};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction before;
    if (numbers[i] == SIGCHLD) signal(SIGCHLD, SIG_DFL); /* ignored, it would reap our children itself */
    if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaddset(&set, numbers[i]);
  }
  sigprocmask(SIG_SETMASK, &set, NULL);
  return set;
}

static void supervise(const sigset_t *signals) {
  while (any_app_in(APP_STARTING) || any_app_in(APP_RUNNING)) {
    long long wait_ms = -1;
    if (stopping && !killing) {
      wait_ms = grace_ends_ms - now_ms();
      if (wait_ms < 0) wait_ms = 0;
    }
    if (pod.terminal && pod.apps[0].state == APP_STARTING) wait_ms = 5;
    struct timespec timeout = {.tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    if (ready_written && wait_ms < 0) forget_code();
    int number = sigtimedwait(signals, NULL, wait_ms < 0 ? NULL : &timeout);
    if (number > 0) on_signal(number);
    if (stopping && !killing && now_ms() >= grace_ends_ms) kill_apps();
    if (pod.terminal && pod.apps[0].state == APP_STARTING) look_for_terminal_app();
    if (!ready_written && !stopping && !any_app_in(APP_STARTING)) {
      ready_written = true;
      write_ready(&pod);
    }
  }
}

/* With init every process of the pod ends: daemons that apps left, and apps a killed crun left half made. The
 * latter are our children, and the kernel lets init die only when they are reaped: so wait for anybody. */
static void end_init(void) {
  if (pod.init == 0) return;
  kill(pod.init, SIGKILL);
  for (;;) {
    pid_t pid = waitpid(-1, NULL, 0);
    if (pid == pod.init || (pid < 0 && errno != EINTR)) return;
  }
}

/* Moves a descriptor out of the way of the fixed numbers. */
static bool move_descriptor(int *fd) {
  int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FD_FIRST_FREE);
  if (moved < 0) return false;
  close(*fd);
  *fd = moved;
  return true;
}

/* Descriptors 0-2 exist, nothing else reaches crun, and those we were given are out of the way of the fixed numbers. */
static bool arrange_descriptors(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd < 3);
  if (fd >= 0) close(fd);
  syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (!move_descriptor(&lock_fd) || (pod.mounts_fd >= 0 && !move_descriptor(&pod.mounts_fd))) {
    SAY(errno, "supervisor: no pod lock");
    return false;
  }
  pod.dir_fd = open(pod.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (pod.dir_fd >= 0 && move_descriptor(&pod.dir_fd)) return true;
  SAY(errno, "supervisor: cannot open ", pod.dir);
  return false;
}

/* The end of the pod, whatever came of it. */
static int end_pod(int code) {
  end_init();
  release_pod(&pod, lock_fd, release_first);
  return code;
}

int main(int argc, char **argv) {
  char *args_end = argv[argc - 1] + strlen(argv[argc - 1]);
  sigset_t signals = handled_signals();
  if (!parse(argc, argv) || !arrange_descriptors()) return EXIT_SETUP;
  pod.self = getpid();
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    SAY(errno, "supervisor: cannot adopt the apps");
    return EXIT_SETUP;
  }
  hasten_cgroup_changes(&pod);
  if (!start_init(&pod, argv[0], (size_t)(args_end - argv[0]))) return end_pod(EXIT_SETUP);
  /* A pod that nobody can enter or stop is not started. */
  if (!write_pid_file(&pod, "init", pod.init) || !write_pid_file(&pod, "pid", pod.self)) {
    SAY(0, "the pod could not be started [ERR_STAGE1_LAUNCH]");
    hint_full_disk(&pod);
    return end_pod(EXIT_SETUP);
  }
  for (unsigned i = 0; i < pod.app_count; i++)
    if (!start_app(&pod, &pod.apps[i])) app_ended(&pod.apps[i], EXIT_SETUP);
  supervise(&signals);
  return end_pod(pod_code);
}
