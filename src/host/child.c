/* The part of the addon that makes processes: run, detached work, execve. See linux.c. */
#include "addon.h"

/* ---- run ----------------------------------------------------------------------------------------- */

struct output {
  char *data;
  size_t length, capacity, limit;
  bool truncated;
};

/* Reads what is there; false at end of file. Beyond the limit bytes are read and dropped. */
static bool drain(int fd, struct output *out) {
  char chunk[65536];
  ssize_t got = read(fd, chunk, sizeof chunk);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  size_t keep = (size_t)got;
  if (out->length + keep > out->limit) {
    keep = out->limit - out->length;
    out->truncated = true;
  }
  if (out->length + keep > out->capacity) {
    size_t capacity = (out->length + keep) * 2;
    char *grown = realloc(out->data, capacity);
    if (grown == NULL) { out->truncated = true; return true; }
    out->data = grown;
    out->capacity = capacity;
  }
  if (keep > 0) memcpy(out->data + out->length, chunk, keep);
  out->length += keep;
  return true;
}

static int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void child(const char *path, char **argv, char **envp, const char *cwd, int in, int out, int err,
                  int report, pid_t parent) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < 65; sig++) sigaction(sig, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  /* in/out/err are >= 3 (pipe ends opened above the standard descriptors). */
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) goto fail;
  if (cwd != NULL && chdir(cwd) != 0) goto fail;
  fcntl(report, F_SETFD, FD_CLOEXEC);
  syscall(SYS_close_range, 3, report - 1, 0);
  syscall(SYS_close_range, report + 1, ~0U, 0);
  execve(path, argv, envp);
fail:;
  int error = errno;
  if (write(report, &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

static int above_stdio(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return moved;
}

static int open_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  ends[0] = above_stdio(ends[0]);
  ends[1] = above_stdio(ends[1]);
  return ends[0] < 0 || ends[1] < 0 ? -1 : 0;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* How long output is taken that was written before a program ended. */
#define DRAIN_MS 200

static napi_value buffer_of(napi_env env, const struct output *out) {
  napi_value value;
  void *copy;
  return napi_create_buffer_copy(env, out->length, out->data == NULL ? "" : out->data, &copy, &value) == napi_ok ? value : NULL;
}

/* run(path, argv, env, stdin: Buffer|null, timeoutMs, maxBytes, cwd|null)
 *   -> { errno, status, timedOut, interrupted, truncated, stdout, stderr }
 * The child leads its own process group; at the deadline, or when a trapped signal arrives, the group is
 * killed. When the child ends, what is left of its group is killed as well: a plugin may not leave
 * processes behind in the group it was given (one that needs a daemon calls setsid). */
napi_value js_run(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value arg[7];
  CHECK(napi_get_cb_info(env, info, &argc, arg, NULL, NULL));
  char *path = to_string(env, arg[0]);
  char **argv = to_vector(env, arg[1]);
  char **envp = to_vector(env, arg[2]);
  char *cwd = to_string(env, arg[6]);
  int64_t timeout_ms = 0, max_bytes = 0;
  napi_get_value_int64(env, arg[4], &timeout_ms);
  napi_get_value_int64(env, arg[5], &max_bytes);
  char *input = NULL;
  size_t input_length = 0, written = 0;
  napi_get_buffer_info(env, arg[3], (void **)&input, &input_length);

  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
  int failure = 0, status = 0;
  bool timed_out = false, interrupted = false;
  struct output stdout_ = {.limit = (size_t)max_bytes}, stderr_ = {.limit = (size_t)max_bytes};
  pid_t pid = -1;
  if (path == NULL || argv == NULL || envp == NULL) { failure = EINVAL; goto finish; }
  if (open_pipe(in) || open_pipe(out) || open_pipe(err) || open_pipe(report)) { failure = errno; goto finish; }

  /* A signal that came before this call was answered already: what runs now is the way down. */
  bool seen = pending_signal != 0;
  pid_t parent = getpid();
  pid = fork();
  if (pid < 0) { failure = errno; goto finish; }
  if (pid == 0) child(path, argv, envp, cwd, in[0], out[1], err[1], report[1], parent);
  setpgid(pid, pid);
  close_fd(&in[0]);
  close_fd(&out[1]);
  close_fd(&err[1]);
  close_fd(&report[1]);
  ssize_t got;
  do got = read(report[0], &failure, sizeof failure);
  while (got < 0 && errno == EINTR);
  if (got != sizeof failure) failure = 0;
  if (input_length == 0) close_fd(&in[1]);
  else fcntl(in[1], F_SETFL, O_NONBLOCK);

  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  int64_t deadline = now_ms() + timeout_ms;
  struct sigaction pipe_ignore = {.sa_handler = SIG_IGN}, pipe_before;
  sigaction(SIGPIPE, &pipe_ignore, &pipe_before);
  bool ended = false;
  while (!ended || out[0] >= 0 || err[0] >= 0) {
    struct pollfd fds[4] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {in[1], POLLOUT, 0}, {ended ? -1 : pidfd, POLLIN, 0}};
    int64_t left = deadline - now_ms();
    if (!seen && pending_signal != 0 && !interrupted) { interrupted = true; kill(-pid, SIGKILL); }
    if (left <= 0 && !timed_out && !ended) { timed_out = true; kill(-pid, SIGKILL); }
    /* Once it has ended, a descendant may still hold the pipes, and write: take what is there, wait for nothing. */
    int wait_ms = ended ? 0 : left > 50 ? 50 : left > 0 ? (int)left : 10;
    int ready = poll(fds, 4, wait_ms);
    if (ended && (ready == 0 || left <= 0)) break;
    if (fds[0].revents != 0 && !drain(out[0], &stdout_)) close_fd(&out[0]);
    if (fds[1].revents != 0 && !drain(err[0], &stderr_)) close_fd(&err[0]);
    if (fds[2].revents != 0) {
      ssize_t sent = write(in[1], input + written, input_length - written);
      if (sent > 0) written += (size_t)sent;
      if ((sent < 0 && errno != EAGAIN && errno != EINTR) || written == input_length) close_fd(&in[1]);
    }
    if (!ended && waitpid(pid, &status, WNOHANG) == pid) {
      ended = true;
      deadline = now_ms() + DRAIN_MS;
      kill(-pid, SIGKILL);
    }
  }
  sigaction(SIGPIPE, &pipe_before, NULL);
  if (pidfd >= 0) close(pidfd);

finish:
  for (int i = 0; i < 2; i++) {
    close_fd(&in[i]);
    close_fd(&out[i]);
    close_fd(&err[i]);
    close_fd(&report[i]);
  }
  free(path);
  free(cwd);
  free_vector(argv);
  free_vector(envp);
  napi_value result;
  CHECK(napi_create_object(env, &result));
  napi_value flag;
  CHECK(napi_set_named_property(env, result, "errno", number(env, failure)));
  CHECK(napi_set_named_property(env, result, "status", number(env, WIFEXITED(status) ? WEXITSTATUS(status) : -1)));
  CHECK(napi_set_named_property(env, result, "signal", number(env, WIFSIGNALED(status) ? WTERMSIG(status) : 0)));
  CHECK(napi_get_boolean(env, timed_out, &flag));
  CHECK(napi_set_named_property(env, result, "timedOut", flag));
  CHECK(napi_get_boolean(env, interrupted, &flag));
  CHECK(napi_set_named_property(env, result, "interrupted", flag));
  CHECK(napi_get_boolean(env, stdout_.truncated || stderr_.truncated, &flag));
  CHECK(napi_set_named_property(env, result, "truncated", flag));
  CHECK(napi_set_named_property(env, result, "stdout", buffer_of(env, &stdout_)));
  CHECK(napi_set_named_property(env, result, "stderr", buffer_of(env, &stderr_)));
  free(stdout_.data);
  free(stderr_.data);
  return result;
}

/* ---- detached ------------------------------------------------------------------------------------ */

/* Becomes a grandchild that nobody waits for; 0 in the grandchild, 1 in the caller, -1 on failure. */
static int detach(void) {
  pid_t pid = fork();
  if (pid < 0) return -1;
  if (pid > 0) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    errno = EAGAIN;
    return -1;
  }
  setsid();
  pid_t grandchild = fork();
  if (grandchild != 0) _exit(grandchild < 0);
  for (int fd = 0; fd < 3; fd++) close(fd);
  return 0;
}

/* sendDetached(fd, message): a send(2) that blocks in the kernel (link deletions wait for RCU) without holding up the
 * caller. The process that does it keeps every descriptor but 0-2 until it is done: locks too. */
napi_value js_send_detached(napi_env env, napi_callback_info info) {
  size_t argc = 2, length;
  napi_value arg[2];
  int32_t fd;
  void *message;
  CHECK(napi_get_cb_info(env, info, &argc, arg, NULL, NULL));
  CHECK(napi_get_value_int32(env, arg[0], &fd));
  CHECK(napi_get_buffer_info(env, arg[1], &message, &length));
  int side = detach();
  if (side == 0) _exit(syscall(SYS_sendto, fd, message, length, 0, NULL, 0) < 0);
  return number(env, side < 0 ? -errno : 0);
}

/* runDetached(path, argv, env, cwd|null): a program nobody waits for, in a session of its own, without open files. */
napi_value js_run_detached(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value arg[4];
  CHECK(napi_get_cb_info(env, info, &argc, arg, NULL, NULL));
  char *path = to_string(env, arg[0]);
  char **argv = to_vector(env, arg[1]);
  char **envp = to_vector(env, arg[2]);
  char *cwd = to_string(env, arg[3]);
  int result = -EINVAL;
  if (path != NULL && argv != NULL && envp != NULL) {
    int side = detach();
    if (side == 0) {
      int null = open("/dev/null", O_RDWR);
      for (int fd = 1; fd < 3 && null == 0; fd++) dup2(null, fd);
      syscall(SYS_close_range, 3, ~0U, 0);
      if (cwd == NULL || chdir(cwd) == 0) execve(path, argv, envp);
      _exit(127);
    }
    result = side < 0 ? -errno : 0;
  }
  free(path);
  free(cwd);
  free_vector(argv);
  free_vector(envp);
  return number(env, result);
}

/* What end_with's process does: nothing but system calls, with nothing open but what it needs. */
static void interrupt_after(int other, int own, int err, const char *text, int linger_ms) {
  int keep[] = {other, own, err};
  for (int fd = 0; fd < 3; fd++) keep[fd] = fcntl(keep[fd], F_DUPFD, 1000);
  syscall(SYS_close_range, 0, 999, 0);
  syscall(SYS_close_range, 1003, ~0U, 0);
  prctl(PR_SET_NAME, "rkt-end-with");
  if (keep[0] < 0 || keep[1] < 0 || chdir("/") != 0) _exit(1);
  struct pollfd ends[] = {{.fd = keep[0], .events = POLLIN}, {.fd = keep[1], .events = POLLIN}};
  while (poll(ends, 2, -1) < 0) {}
  if ((ends[1].revents & POLLIN) != 0) _exit(0);
  if (keep[2] >= 0 && write(keep[2], text, strlen(text)) < 0) {} /* nobody reads it */
  if (poll(&ends[1], 1, linger_ms) > 0) _exit(0);
  _exit(syscall(SYS_pidfd_send_signal, keep[1], SIGINT, NULL, 0) != 0);
}

/* endWith(pidfd, text, lingerMs): when the other process ends, `text` is written to our stderr, and a moment later this
 * one, whatever it has become by then, gets SIGINT. The one who watches ends with either. */
napi_value js_end_with(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value arg[3];
  int32_t other, linger_ms;
  CHECK(napi_get_cb_info(env, info, &argc, arg, NULL, NULL));
  CHECK(napi_get_value_int32(env, arg[0], &other));
  CHECK(napi_get_value_int32(env, arg[2], &linger_ms));
  char *text = to_string(env, arg[1]);
  int own = (int)syscall(SYS_pidfd_open, getpid(), 0), err = fcntl(2, F_DUPFD_CLOEXEC, 3), result = -EINVAL;
  if (own < 0) result = -errno;
  else if (text != NULL) {
    int side = detach();
    if (side == 0) interrupt_after(other, own, err, text, linger_ms);
    result = side < 0 ? -errno : 0;
  }
  if (own >= 0) close(own);
  if (err >= 0) close(err);
  free(text);
  return number(env, result);
}

/* ---- execve -------------------------------------------------------------------------------------- */

static volatile sig_atomic_t threads_quiet;

/* Runs in each of the other threads; the mask in `context` is the one it goes on with. */
static void block_in_this_thread(int sig, siginfo_t *info, void *context) {
  (void)sig;
  (void)info;
  sigset_t *mask = &((ucontext_t *)context)->uc_sigmask;
  for (int number = 1; number < 32; number++)
    if (sigismember(&trapped_signals, number) == 1) sigaddset(mask, number);
  __atomic_add_fetch(&threads_quiet, 1, __ATOMIC_SEQ_CST);
}

/* Whether thread `tid` takes signals: the inspector's, for one, blocks them all. */
static bool takes_signals(pid_t tid, int probe) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return false;
  text[got] = '\0';
  const char *mask = strstr(text, "\nSigBlk:");
  return mask != NULL && (strtoull(mask + 8, NULL, 16) >> (probe - 1) & 1) == 0;
}

/* The kernel gives a process's signal to any thread that does not block it, and execve ends all threads but this one
 * together with what their handlers know. So each is made to block the trapped signals: one that comes from now on
 * stays pending, through execve, for the new program to take. */
static void hold_signals(void) {
  static const int call = SIGURG; /* ignored by default, and Node has no use for it */
  struct sigaction action = {.sa_sigaction = block_in_this_thread, .sa_flags = SA_SIGINFO | SA_RESTART}, before;
  sigfillset(&action.sa_mask);
  sigprocmask(SIG_BLOCK, &trapped_signals, NULL);
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL || sigaction(call, &action, &before) != 0) return;
  int called = 0;
  threads_quiet = 0;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    pid_t tid = (pid_t)atoi(entry->d_name);
    if (tid > 0 && tid != getpid() && takes_signals(tid, call) && syscall(SYS_tgkill, getpid(), tid, call) == 0) called++;
  }
  closedir(tasks);
  struct timespec moment = {.tv_nsec = 20000};
  for (int tries = 0; threads_quiet < called && tries < 5000; tries++) nanosleep(&moment, NULL);
  sigaction(call, &before, NULL);
}

/* execve(path, argv, env, keepFds): trapped signals are blocked from here on and stay pending for the new program; one
 * that came before is -EINTR. libuv marks 0-2 close-on-exec and leaves SIGPIPE ignored, so both are
 * put right; of the other descriptors only keepFds reach the new program. */
napi_value js_execve(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value arg[4];
  CHECK(napi_get_cb_info(env, info, &argc, arg, NULL, NULL));
  char *path = to_string(env, arg[0]);
  char **argv = to_vector(env, arg[1]);
  char **envp = to_vector(env, arg[2]);
  uint32_t count = 0;
  napi_get_array_length(env, arg[3], &count);
  int error = EINVAL;
  bool trapping = sigisemptyset(&trapped_signals) == 0;
  if (trapping) hold_signals();
  if (trapping && pending_signal != 0) error = EINTR;
  else if (path != NULL && argv != NULL && envp != NULL) {
    syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
    for (int fd = 0; fd < 3; fd++) fcntl(fd, F_SETFD, 0);
    for (uint32_t i = 0; i < count; i++) {
      napi_value item;
      int32_t fd;
      if (napi_get_element(env, arg[3], i, &item) == napi_ok && napi_get_value_int32(env, item, &fd) == napi_ok)
        fcntl(fd, F_SETFD, 0);
    }
    struct sigaction action = {.sa_handler = SIG_DFL}, pipe_before, xfsz_before;
    sigaction(SIGPIPE, &action, &pipe_before);
    sigaction(SIGXFSZ, &action, &xfsz_before);
    execve(path, argv, envp);
    error = errno;
    sigaction(SIGPIPE, &pipe_before, NULL);
    sigaction(SIGXFSZ, &xfsz_before, NULL);
  }
  sigprocmask(SIG_UNBLOCK, &trapped_signals, NULL);
  free(path);
  free_vector(argv);
  free_vector(envp);
  return number(env, -error);
}
