/* The supervisor of one pod: types and contracts shared by its files. What it reads and writes: ../../README.md */
#ifndef RKT_SUPERVISOR_H
#define RKT_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
  MAX_APPS = 64,
  FORCE_SIGNAL = 64, /* SIGRTMAX as the kernel counts: kill everything and end in order (stop.ts) */
  EXIT_SETUP = 254, /* rkt 2.3: the pod could not be set up */
  /* Descriptors that config.json names as /proc/<supervisor>/fd/N; written by bundle.ts before we exist. */
  FD_PID_NS = 10,
  FD_IPC_NS = 11,
  FD_UTS_NS = 12,
  FD_NET_NS = 13,
  FD_FIRST_FREE = 20
};

enum app_state { APP_STARTING, APP_RUNNING, APP_ENDED };

struct app {
  const char *name;
  int stop_signal;
  enum app_state state;
  /* signals (bit n-1: n) that came while it was being started; it gets them when its pid is known */
  unsigned long long owed_signals;
  /* crun while starting; then the app itself, re-parented to us. In a terminal pod crun stays and is the app. */
  pid_t pid;
};

struct pod {
  const char *dir;
  const char *uuid;
  const char *netns; /* NULL: the host's */
  const char *hostname;
  const char *crun;
  const char *cgroup; /* the pod's own group in one hierarchy */
  long grace_ms;
  bool interactive; /* the app gets our stdin */
  bool terminal;    /* crun stays and relays a pty */
  int dir_fd;
  int mounts_fd; /* mount namespace of the host; -1: ours is */
  pid_t self;
  pid_t init;
  unsigned app_count;
  struct app apps[MAX_APPS];
};

extern char **environ;

/* ---- text.c: text in fixed buffers; no stdio, no malloc ---- */

struct text {
  char *at, *end; /* end: last byte, kept for the NUL */
  bool overflow;
};
struct text text_in(char *buffer, size_t size);
void put(struct text *text, const char *string);
void put_number(struct text *text, long long number);
/* The text made of `parts` (NULL-terminated) in `buffer`; false if it did not fit. */
bool join(char *buffer, size_t size, const char *const *parts);
#define JOIN(buffer, ...) join(buffer, sizeof(buffer), (const char *const[]){__VA_ARGS__, NULL})
/* One line on stderr, "rkt: " in front; `error`: an errno whose text is appended, or 0. */
void say(const char *const *parts, int error);
#define SAY(error, ...) say((const char *const[]){__VA_ARGS__, NULL}, error)
/* Whole non-negative decimal number, or -1. */
long parse_number(const char *text);

/* ---- files.c: what the pod directory shows of a running pod ---- */

/* Replaces `name` below the pod directory as a whole; false when that failed (said). A full disk must not end a pod that runs. */
bool write_file(const struct pod *pod, const char *name, const char *content);
/* "pid starttime\n" of `pid`: a pid alone could be somebody else's by the time it is read. */
bool write_pid_file(const struct pod *pod, const char *name, pid_t pid);
void write_status(const struct pod *pod, const struct app *app, int code);
void write_ready(const struct pod *pod);
/* Says on stderr that the disk is full if it is: crun's own words for that differ from call to call. */
void hint_full_disk(const struct pod *pod);
/* The pid crun wrote for an app; 0 while there is none. */
pid_t read_crun_pid(const struct pod *pod, const struct app *app);

/* ---- memory.c ---- */

/* Unmaps the pages of the program's code and constants. Every fault on a file maps 16 pages around it, so that a
 * start leaves nearly the whole of libc mapped; what is needed again comes back from the page cache. */
void forget_code(void);

/* ---- start.c: processes ---- */

/* Starts PID 1 of the pod and puts its namespaces on FD_*_NS. False when that failed (said). */
bool start_init(struct pod *pod, char *args, size_t args_size);
/* Makes the kernel ready for processes that change their control groups, as crun's will. Returns at once; best effort. */
void hasten_cgroup_changes(const struct pod *pod);
/* Starts crun for an app. False when that failed (said). */
bool start_app(const struct pod *pod, struct app *app);

#endif
