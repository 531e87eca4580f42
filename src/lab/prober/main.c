/* Reads a plan from standard input, line by line, and does it; answers go to standard output. One thread. */
#define _GNU_SOURCE
#include "prober.h"

#include <linux/netlink.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("error ");
  vprintf(format, arguments);
  printf("\n");
  fflush(stdout);
  va_end(arguments);
  _exit(1);
}

int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void *grown(void *array, size_t *capacity, size_t needed, size_t size) {
  if (needed <= *capacity) return array;
  size_t more = *capacity < 64 ? 64 : *capacity * 2;
  if (more < needed) more = needed;
  array = realloc(array, more * size);
  if (array == NULL) fail("memory %zu", more * size);
  memset((char *)array + *capacity * size, 0, (more - *capacity) * size);
  *capacity = more;
  return array;
}

static enum protocol protocol_of(const char *name) {
  if (strcmp(name, "tcp") == 0) return TCP;
  if (strcmp(name, "udp") == 0) return UDP;
  if (strcmp(name, "sctp") == 0) return SCTP;
  fail("plan protocol %s", name);
}

/* Bytes that follow a line. */
static uint8_t *blob(FILE *plan, size_t length) {
  static uint8_t *bytes;
  static size_t capacity;
  bytes = grown(bytes, &capacity, length + 1, 1);
  if (fread(bytes, 1, length, plan) != length) fail("plan ends in a blob");
  return bytes;
}

static void perform(FILE *plan, const char *line) {
  char a[64], b[256], c[64];
  unsigned n, m;
  size_t length, command;
  long patience_ms;
  if (sscanf(line, "space %u", &n) == 1) make_space(n);
  else if (sscanf(line, "drop %u", &n) == 1) drop_space(n);
  else if (sscanf(line, "route %u %u %zu", &n, &m, &length) == 3) {
    const uint8_t *requests = blob(plan, length);
    for (unsigned i = n; i <= m && i < MAX_SPACES; i++)
      if (has_space(i)) send_requests("route", i, NETLINK_ROUTE, requests, length);
  } else if (sscanf(line, "filter %zu", &length) == 1) {
    int64_t start = now_ns();
    send_requests("filter", 0, NETLINK_NETFILTER, blob(plan, length), length);
    printf("filter %lld\n", (long long)(now_ns() - start) / 1000);
  }
  else if (sscanf(line, "enforce %zu %zu", &command, &length) == 2) {
    const char *bytes = (const char *)blob(plan, command + length);
    char *copy = strndup(bytes, command);
    if (copy == NULL) fail("memory");
    run_enforcer(copy, (const uint8_t *)bytes + command, length);
    free(copy);
  }
  else if (sscanf(line, "quiet %zu", &length) == 1) send_requests("filter", 0, NETLINK_NETFILTER, blob(plan, length), length);
  else if (sscanf(line, "hold %zu", &length) == 1) hold_flows(plan, length);
  else if (sscanf(line, "held %ld", &patience_ms) == 1) try_held(patience_ms);
  else if (sscanf(line, "await %u %u", &n, &m) == 2) await_link(n, m);
  else if (sscanf(line, "sysctl %u %255s %63s", &n, b, a) == 3) set_sysctl(n, b, a);
  else if (sscanf(line, "endpoint %u %u %63s", &n, &m, a) == 3) add_endpoint(n, m, a);
  else if (sscanf(line, "remove %u", &n) == 1) remove_endpoint(n);
  else if (sscanf(line, "listen %u %63s %u", &n, a, &m) == 3) listen_on(n, protocol_of(a), (uint16_t)m);
  else if (sscanf(line, "evidence %63s %255s %63s", a, b, c) == 3) watch_evidence(a, b, c);
  else if (strncmp(line, "flush", 5) == 0) flush_conntrack();
  else if (sscanf(line, "probe %zu %ld", &length, &patience_ms) == 2) run_batch(plan, length, patience_ms);
  else fail("plan line %.40s", line);
}

int main(void) {
  /* The namespaces are this process's: whoever started it is gone, so are they. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("epoll");
  make_bench();
  static char line[512];
  while (fgets(line, sizeof line, stdin) != NULL) perform(stdin, line);
  fflush(stdout);
  /* Sockets are not closed one by one: the namespaces go with all that is in them. */
  _exit(0);
}
