/* What the pod directory shows of a running pod. Every file appears whole (temp + rename); none is fsynced,
 * because what it describes dies with the boot, and an exit code that a power loss takes is no loss of state. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <stdio.h> /* renameat */

#include "supervisor.h"

#define RKT_DIR "stage1/rootfs/rkt/"

bool write_file(const struct pod *pod, const char *name, const char *content) {
  char temporary[256];
  if (!JOIN(temporary, name, ".tmp")) return false;
  int fd = openat(pod->dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd >= 0) {
    size_t length = strlen(content);
    bool whole = write(fd, content, length) == (ssize_t)length;
    close(fd);
    if (whole && renameat(pod->dir_fd, temporary, pod->dir_fd, name) == 0) return true;
  }
  int error = errno;
  unlinkat(pod->dir_fd, temporary, 0);
  SAY(error, "cannot write ", name, " in the pod directory");
  return false;
}

void hint_full_disk(const struct pod *pod) {
  static const char hint[] = "hint: the disk that the pod directory is on is full, or nearly so: rkt gc --grace-period=0 removes exited pods\n";
  struct statvfs disk;
  if (fstatvfs(pod->dir_fd, &disk) != 0) return;
  /* Whoever failed has given back what it wrote, so "full" is less than a pod may need. No inodes at all: they are not counted. */
  bool space = (unsigned long long)disk.f_bavail * disk.f_frsize >= 1 << 20, inodes = disk.f_files == 0 || disk.f_favail >= 64;
  if (space && inodes) return;
  ssize_t written = write(2, hint, sizeof hint - 1);
  (void)written;
}

/* Field 22 of /proc/PID/stat; the command in field 2 may hold spaces and parentheses, so count from the last ')'. */
static const char *start_time(pid_t pid, char *buffer, size_t size) {
  char path[64];
  struct text text = text_in(path, sizeof path);
  put(&text, "/proc/");
  put_number(&text, pid);
  put(&text, "/stat");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  ssize_t got = read(fd, buffer, size - 1);
  close(fd);
  if (got <= 0) return NULL;
  buffer[got] = '\0';
  char *at = strrchr(buffer, ')');
  for (int field = 2; at != NULL && field < 22; field++) {
    at = strchr(at, ' ');
    if (at != NULL) at++;
  }
  if (at == NULL) return NULL;
  char *end = strchr(at, ' ');
  if (end != NULL) *end = '\0';
  return at;
}

bool write_pid_file(const struct pod *pod, const char *name, pid_t pid) {
  char stat[1024], line[64];
  const char *since = start_time(pid, stat, sizeof stat);
  if (since == NULL) return false;
  struct text text = text_in(line, sizeof line);
  put_number(&text, pid);
  put(&text, " ");
  put(&text, since);
  put(&text, "\n");
  return write_file(pod, name, line);
}

void write_status(const struct pod *pod, const struct app *app, int code) {
  char name[192], content[16];
  struct text text = text_in(content, sizeof content);
  put_number(&text, code);
  if (JOIN(name, RKT_DIR "status/", app->name)) write_file(pod, name, content);
}

void write_ready(const struct pod *pod) {
  if (symlinkat("ready", pod->dir_fd, RKT_DIR "supervisor-status") != 0 && errno != EEXIST) SAY(errno, "cannot mark the pod as ready");
}

pid_t read_crun_pid(const struct pod *pod, const struct app *app) {
  char name[192], digits[16];
  if (!JOIN(name, "bundles/", app->name, "/pid")) return 0;
  int fd = openat(pod->dir_fd, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, digits, sizeof digits - 1);
  close(fd);
  if (got <= 0) return 0;
  digits[got] = '\0';
  long pid = parse_number(digits);
  return pid > 0 ? (pid_t)pid : 0;
}
