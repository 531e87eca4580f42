/* What a pod held outside its directory is freed when it ends, without a start of Node: operations that were written as
 * data before the launch (src/model/release.ts). An advance on gc, which undoes the journal all the same: whatever goes
 * wrong here is left to it, and every operation makes sure that what it removes is the pod's own, for by the time a
 * late one comes the address may be another pod's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "release.h"

enum { MAX_FILE = 64 << 20, MAX_CONTENT = 1024, MAX_ENVIRONMENT = 512, LOCK_PATIENCE_MS = 5000 };
enum op { OP_UNLINK = 1, OP_ELEMENTS, OP_FLOWS, OP_UNMOUNT, OP_RMDIR, OP_RUN, OP_SIGNAL };

static const struct pod *owner;
static const char file_magic[8] = "rktrel1\n";

/* ---- reading ------------------------------------------------------------------------------------ */

bool take_number(struct span *in, uint32_t *number) {
  if ((size_t)(in->end - in->at) < sizeof *number) return false;
  memcpy(number, in->at, sizeof *number);
  in->at += sizeof *number;
  return true;
}

bool take_bytes(struct span *in, struct span *bytes) {
  uint32_t length;
  if (!take_number(in, &length) || length > (size_t)(in->end - in->at)) return false;
  *bytes = (struct span){in->at, in->at + length};
  in->at += length;
  return true;
}

const char *take_text(struct span *in) {
  struct span bytes;
  if (!take_bytes(in, &bytes) || bytes.at == bytes.end) return NULL;
  return memchr(bytes.at, '\0', (size_t)(bytes.end - bytes.at)) == bytes.end - 1 ? (const char *)bytes.at : NULL;
}

/* ---- operations: false when malformed ----------------------------------------------------------- */

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

/* The lock file `path`, locked; -1: there is none, or somebody does not let go of it. One that is replaced while we wait
 * (its directory was removed and made anew) is tried again. */
static int take_lock(const char *path) {
  for (int waited = 0; waited < LOCK_PATIENCE_MS; waited += 2) {
    struct stat held, named;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
        held.st_dev == named.st_dev)
      return fd;
    close(fd);
    pause_ms(2);
  }
  return -1;
}

/* Whether the file holds exactly `content`; empty content stands for whatever it holds. */
static bool holds(const char *path, struct span content) {
  size_t length = (size_t)(content.end - content.at);
  unsigned char found[MAX_CONTENT + 1];
  if (length == 0) return true;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, found, sizeof found);
  close(fd);
  return got == (ssize_t)length && memcmp(found, content.at, length) == 0;
}

/* lock file or "", directory or "", then pairs of (file, content): removes each file that holds its content, under the lock;
 * the directory keeps its modification time (host-local's seal), which is put back last. */
static bool unlink_files(struct span in, bool dry) {
  const char *lock = take_text(&in), *dated = take_text(&in);
  if (lock == NULL || dated == NULL) return false;
  bool locked = !dry && *lock != '\0', changed = false;
  int lock_fd = locked ? take_lock(lock) : -1;
  bool act = !dry && (!locked || lock_fd >= 0);
  struct stat before;
  bool known = act && *dated != '\0' && stat(dated, &before) == 0;
  while (in.at < in.end) {
    struct span content;
    const char *path = take_text(&in);
    if (path == NULL || !take_bytes(&in, &content) || content.end - content.at > MAX_CONTENT) return false;
    if (!act || !holds(path, content)) continue;
    if (unlink(path) == 0) changed = true;
    else if (errno != ENOENT) act = false; /* what comes next tells where this one is */
  }
  if (known && changed) utimensat(AT_FDCWD, dated, (struct timespec[]){{.tv_nsec = UTIME_OMIT}, before.st_mtim}, 0);
  if (lock_fd >= 0) close(lock_fd);
  return true;
}

static bool unmount_namespace(struct span in, bool dry) {
  const char *path = take_text(&in);
  if (path == NULL || in.at != in.end) return false;
  if (dry) return true;
  struct statfs type;
  while (statfs(path, &type) == 0 && type.f_type == NSFS_MAGIC && umount2(path, MNT_DETACH) == 0) continue;
  unlink(path);
  return true;
}

static bool remove_directories(struct span in, bool dry) {
  while (in.at < in.end) {
    const char *path = take_text(&in);
    if (path == NULL) return false;
    if (!dry) rmdir(path);
  }
  return true;
}

/* What fits of a file, with a NUL behind; 0: nothing. */
static size_t read_start(const char *path, char *buffer, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? 0 : read(fd, buffer, size - 1);
  if (fd >= 0) close(fd);
  buffer[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

/* signal, file with a pid, argument: signals that process if one of its arguments is this, for its pid may be another's by now.
 * Held first, looked at second: what is held is what is looked at, or it has ended. */
static bool signal_process(struct span in, bool dry) {
  uint32_t number;
  const char *pid_file, *argument;
  if (!take_number(&in, &number) || number == 0 || number > 64 || (pid_file = take_text(&in)) == NULL || (argument = take_text(&in)) == NULL ||
      in.at != in.end)
    return false;
  char digits[16], path[64], arguments[4096];
  if (dry || read_start(pid_file, digits, sizeof digits) == 0) return true;
  digits[strspn(digits, "0123456789")] = '\0';
  long pid = parse_number(digits);
  int held = pid > 1 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
  if (held < 0) return true;
  struct text text = text_in(path, sizeof path);
  put(&text, "/proc/");
  put(&text, digits);
  put(&text, "/cmdline");
  size_t length = read_start(path, arguments, sizeof arguments);
  for (size_t at = 0; at < length; at += strlen(arguments + at) + 1)
    if (strcmp(arguments + at, argument) == 0) {
      syscall(SYS_pidfd_send_signal, held, (int)number, NULL, 0);
      break;
    }
  close(held);
  return true;
}

/* Standard output and error go to the pod's file release.log, made when there is something to say. */
static void open_log(void) {
  int fd = openat(owner->dir_fd, "release.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return;
  dup2(fd, 1);
  dup2(fd, 2);
  if (fd > 2) close(fd);
}

static _Noreturn void become_plugin(const char *path, int input, pid_t parent, char **environment) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (dup2(input, 0) == 0) execve(path, (char *const[]){(char *)(uintptr_t)path, NULL}, environment);
  SAY(errno, "cannot run ", path);
  _exit(127);
}

/* Its end, or its group's by force. */
static int wait_for(pid_t pid, uint32_t timeout_ms) {
  int status;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  struct timespec now, step = {.tv_nsec = 50000000};
  clock_gettime(CLOCK_MONOTONIC, &now);
  long long end = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 >= end) {
      kill(-pid, SIGKILL);
      waitpid(pid, &status, 0);
      break;
    }
    sigtimedwait(&child, NULL, &step);
  }
  kill(-pid, SIGKILL);
  return status;
}

/* timeout in ms, path, standard input, then the variables of its environment beside ours (PATH and RKT_*). */
static bool run_plugin(struct span in, bool dry) {
  char *environment[MAX_ENVIRONMENT + 1];
  uint32_t timeout_ms;
  struct span input;
  const char *path;
  unsigned count = 0;
  if (!take_number(&in, &timeout_ms) || (path = take_text(&in)) == NULL || !take_bytes(&in, &input)) return false;
  for (; in.at < in.end; count++) {
    const char *variable = take_text(&in);
    if (variable == NULL || count == MAX_ENVIRONMENT) return false;
    environment[count] = (char *)(uintptr_t)variable;
  }
  if (dry) return true;
  for (char **own = environ; *own != NULL && count < MAX_ENVIRONMENT; own++) environment[count++] = *own;
  environment[count] = NULL;
  open_log();
  int fd = memfd_create("stdin", MFD_CLOEXEC);
  size_t length = (size_t)(input.end - input.at);
  if (fd < 0 || write(fd, input.at, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0) {
    SAY(errno, "no input for ", path);
  } else {
    pid_t self = getpid(), pid = fork();
    if (pid == 0) become_plugin(path, fd, self, environment);
    if (pid < 0) SAY(errno, "cannot run ", path);
    else if (wait_for(pid, timeout_ms) != 0) SAY(0, path, " failed");
  }
  if (fd >= 0) close(fd);
  return true;
}

bool release_all(struct span file, bool dry) {
  if ((size_t)(file.end - file.at) < sizeof file_magic || memcmp(file.at, file_magic, sizeof file_magic) != 0) return false;
  file.at += sizeof file_magic;
  while (file.at < file.end) {
    uint32_t op;
    struct span body;
    if (!take_number(&file, &op) || !take_bytes(&file, &body)) return false;
    switch (op) {
      case OP_UNLINK: if (!unlink_files(body, dry)) return false; break;
      case OP_ELEMENTS: if (!remove_elements(body, dry)) return false; break;
      case OP_FLOWS: if (!forget_flows(body, dry)) return false; break;
      case OP_UNMOUNT: if (!unmount_namespace(body, dry)) return false; break;
      case OP_RMDIR: if (!remove_directories(body, dry)) return false; break;
      case OP_SIGNAL: if (!signal_process(body, dry)) return false; break;
      case OP_RUN: if (!run_plugin(body, dry)) return false; break;
      default: return false;
    }
  }
  return true;
}

/* ---- the pod's end ------------------------------------------------------------------------------ */

static void release(int fd) {
  /* The pod's network namespace has to end now, and nobody who reads our output shall wait for us. */
  for (int held = FD_PID_NS; held <= FD_NET_NS; held++) close(held);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int standard = 0; standard < 3; standard++) dup2(null, standard);
  write_pid_file(owner, "release.pid", getpid());
  /* Unmounting in the pod's own mount namespace would not reach the host's. */
  if (owner->mounts_fd >= 0 && setns(owner->mounts_fd, CLONE_NEWNS) != 0) {
    open_log();
    SAY(errno, "cannot return to the host's mounts");
    return;
  }
  struct stat stat;
  if (fstat(fd, &stat) != 0 || stat.st_size <= 0 || stat.st_size > MAX_FILE) return;
  const unsigned char *bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) return;
  struct span file = {bytes, bytes + stat.st_size};
  if (release_all(file, true)) {
    release_all(file, false);
  } else {
    open_log();
    SAY(0, "the file release is damaged: nothing was freed, gc will");
  }
}

void release_pod(const struct pod *pod, int lock_fd, bool first) {
  int fd = openat(pod->dir_fd, "release", O_RDONLY | O_CLOEXEC), closed[2];
  if (fd < 0) return;
  owner = pod;
  /* Held by our child when we are gone. */
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    pid_t child = !first && pipe2(closed, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0) {
      release(fd);
    } else if (child == 0) {
      close(lock_fd);
      close(closed[0]);
      close(closed[1]);
      setsid();
      prctl(PR_SET_NAME, "rkt-release");
      release(fd);
      _exit(0);
    } else {
      char nothing;
      close(closed[1]);
      while (read(closed[0], &nothing, 1) < 0 && errno == EINTR) continue;
      close(closed[0]);
    }
  }
  close(fd);
}
