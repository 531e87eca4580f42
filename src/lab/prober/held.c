/* Connections that stay open while rules change, and whether they still carry anything. */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct held {
  uint32_t from, to;
  enum protocol protocol;
  uint16_t port;
  int fd;     /* of who began it; -1: it was never made */
  int target; /* TCP: the other end's; -1: none */
  bool answered;
};
static struct held *all;
static size_t count, capacity;

size_t held_count(void) { return count; }

bool take_held(int fd, const struct sockaddr_storage *peer, uint32_t to, uint16_t port) {
  size_t length;
  const void *bytes = address_bytes(peer, &length);
  int64_t from = endpoint_at(bytes, length);
  for (size_t i = 0; i < count; i++) {
    struct held *it = &all[i];
    if (it->protocol != TCP || it->from != from || it->to != to || it->port != port || it->target >= 0) continue;
    it->target = fd;
    return true;
  }
  return false;
}

static bool is_gone(const struct held *it) { return !endpoints[it->from].used || !endpoints[it->to].used; }

static void open_held(struct held *it) {
  struct sockaddr_storage own = with_port(&endpoints[it->from].address, HELD_PORT), target = with_port(&endpoints[it->to].address, it->port);
  const int on = 1;
  const struct linger abort = {.l_onoff = 1, .l_linger = 0};
  enter_space(endpoints[it->from].space);
  it->fd = socket(own.ss_family, (it->protocol == TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (it->fd < 0) fail("hold: %s", strerror(errno));
  setsockopt(it->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(it->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  if (bind(it->fd, (struct sockaddr *)&own, sizeof own) != 0) fail("hold bind: %s", strerror(errno));
  if (connect(it->fd, (struct sockaddr *)&target, sizeof target) != 0 && errno != EINPROGRESS) fail("hold: %s", strerror(errno));
}

static void send_byte(const struct held *it) {
  /* A broken connection gives no answer, which is what is reported. */
  ssize_t sent = send(it->fd, "?", 1, MSG_NOSIGNAL);
  (void)sent;
}

/* Answers at the targets, and what came back. @returns how many are without an answer */
static size_t exchange(void) {
  size_t open = 0;
  char bytes[256];
  drain_arrivals(1);
  for (size_t i = 0; i < count; i++) {
    struct held *it = &all[i];
    if (it->answered || is_gone(it)) continue;
    ssize_t got = it->target < 0 ? -1 : recv(it->target, bytes, sizeof bytes, 0);
    if (got > 0) send(it->target, bytes, (size_t)got, MSG_NOSIGNAL);
    if (recv(it->fd, bytes, sizeof bytes, 0) > 0) it->answered = true;
    else open++;
  }
  return open;
}

/* Packets of an earlier question may still be under way: they are taken and forgotten. */
static void forget_answers(void) {
  char bytes[256];
  for (size_t i = 0; i < count; i++) {
    if (is_gone(&all[i])) continue;
    while (recv(all[i].fd, bytes, sizeof bytes, 0) > 0) continue;
    all[i].answered = false;
  }
}

void try_held(long patience_ms) {
  forget_answers();
  int64_t start = now_ns(), sent = 0;
  do {
    /* TCP sends again by itself. */
    bool again = now_ns() - sent > 50 * 1000000LL;
    for (size_t i = 0; again && i < count; i++)
      if (!all[i].answered && !is_gone(&all[i]) && (sent == 0 || all[i].protocol == UDP)) send_byte(&all[i]);
    if (again) sent = now_ns();
  } while (exchange() > 0 && now_ns() - start < patience_ms * 1000000LL);
  printf("held %zu\n", count);
  for (size_t i = 0; i < count; i++) printf("%c\n", is_gone(&all[i]) ? 'G' : all[i].answered ? 'K' : 'C');
  fflush(stdout);
}

void hold_flows(FILE *plan, size_t wanted) {
  char line[128], name[8];
  if (count > 0) fail("plan hold twice");
  all = grown(all, &capacity, wanted, sizeof *all);
  for (; count < wanted; count++) {
    struct held *it = &all[count];
    *it = (struct held){.fd = -1, .target = -1};
    if (fgets(line, sizeof line, plan) == NULL || sscanf(line, "%u %u %7s %hu", &it->from, &it->to, name, &it->port) != 4) fail("plan hold");
    it->protocol = name[0] == 't' ? TCP : UDP;
    if (it->from >= endpoint_count || it->to >= endpoint_count || is_gone(it)) fail("plan hold: no endpoint");
  }
  for (size_t i = 0; i < count; i++) open_held(&all[i]);
  try_held(2000);
}
