/* Network namespaces, and the netlink requests and settings that go into them. */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned here;
static bool exists[MAX_SPACES];
/* one socket for each namespace and family: rtnetlink, nfnetlink */
static int sockets[MAX_SPACES][2];

static void write_file(const char *path, const char *text, const char *what) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("%s %s: %s", what, path, strerror(errno));
  close(fd);
}

static void hold(unsigned number) {
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("space %u: %s", number, strerror(errno));
  if (dup3(fd, (int)(SPACE_FD + number), O_CLOEXEC) < 0) fail("space %u: %s", number, strerror(errno));
  if (fd != (int)(SPACE_FD + number)) close(fd);
  exists[number] = true;
}

/* Namespace 0. An ordinary user gets a user namespace around it, in which it may do all this. */
void make_bench(void) {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  char map[64];
  memset(sockets, -1, sizeof sockets);
  if (unshare(CLONE_NEWNET) != 0) {
    if (errno != EPERM) fail("unshare net: %s", strerror(errno));
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) fail("unshare user: %s", strerror(errno));
    write_file("/proc/self/setgroups", "deny", "user");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map, "user");
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map, "user");
  }
  hold(0);
}

void make_space(unsigned number) {
  if (number >= MAX_SPACES || exists[number]) fail("plan space %u", number);
  enter_space(0);
  if (unshare(CLONE_NEWNET) != 0) fail("space %u: %s", number, strerror(errno));
  hold(number);
  here = number;
}

void drop_space(unsigned number) {
  if (number == 0 || !has_space(number)) fail("plan drop %u", number);
  enter_space(0);
  for (int family = 0; family < 2; family++) {
    if (sockets[number][family] >= 0) close(sockets[number][family]);
    sockets[number][family] = -1;
  }
  close((int)(SPACE_FD + number));
  exists[number] = false;
}

bool has_space(unsigned number) { return number < MAX_SPACES && exists[number]; }

void enter_space(unsigned number) {
  if (number == here) return;
  if (!has_space(number)) fail("plan space %u", number);
  if (setns((int)(SPACE_FD + number), CLONE_NEWNET) != 0) fail("setns %u: %s", number, strerror(errno));
  here = number;
}

int netlink_of(unsigned number, int family) {
  enter_space(number);
  int *fd = &sockets[number][family != NETLINK_ROUTE];
  if (*fd >= 0) return *fd;
  *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);
  if (*fd < 0) fail("netlink %d: %s", family, strerror(errno));
  const int on = 1, room = 8 << 20;
  setsockopt(*fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(*fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  /* Forcing needs the machine's own CAP_NET_ADMIN; the other way stops at the machine's limit. */
  for (int which = 0; which < 2; which++) {
    const int forced = which == 0 ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, plain = which == 0 ? SO_SNDBUF : SO_RCVBUF;
    if (setsockopt(*fd, SOL_SOCKET, forced, &room, sizeof room) != 0) setsockopt(*fd, SOL_SOCKET, plain, &room, sizeof room);
  }
  return *fd;
}

/* The kernel's own words behind an error message; "" without. */
static const char *extended(const struct nlmsghdr *message) {
  const struct nlmsgerr *error = NLMSG_DATA(message);
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return "";
  size_t at = NLMSG_HDRLEN + sizeof *error;
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) at += NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
  while (at + NLA_HDRLEN <= message->nlmsg_len) {
    const struct nlattr *attribute = (const void *)((const char *)message + at);
    if (attribute->nla_len < NLA_HDRLEN) break;
    if ((attribute->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) return (const char *)attribute + NLA_HDRLEN;
    at += NLA_ALIGN(attribute->nla_len);
  }
  return "";
}

void send_requests(const char *what, unsigned number, int family, const uint8_t *data, size_t length) {
  if (length < NLMSG_HDRLEN) fail("plan %s %zu", what, length);
  int fd = netlink_of(number, family);
  /* The answer that is waited for is that of the last message which asks for one. */
  uint32_t first = 0, last = 0;
  bool asks = false;
  for (size_t at = 0; at + NLMSG_HDRLEN <= length;) {
    const struct nlmsghdr *message = (const void *)(data + at);
    if (at == 0) first = message->nlmsg_seq;
    if (message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > length - at) fail("plan %s message", what);
    if ((message->nlmsg_flags & NLM_F_ACK) != 0) {
      last = message->nlmsg_seq;
      asks = true;
    }
    at += NLMSG_ALIGN(message->nlmsg_len);
  }
  if (!asks) fail("plan %s asks for no answer", what);
  if (send(fd, data, length, 0) < 0) fail("%s %u send: %s", what, number, strerror(errno));
  static char answer[1 << 16];
  for (bool done = false; !done;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("%s %u receive: %s", what, number, strerror(errno));
    for (const struct nlmsghdr *message = (void *)answer; NLMSG_OK(message, (size_t)got); message = NLMSG_NEXT(message, got)) {
      if (message->nlmsg_type != NLMSG_ERROR) continue;
      const struct nlmsgerr *error = NLMSG_DATA(message);
      if (error->error != 0)
        fail("%s %u request %u: %s %s", what, number, message->nlmsg_seq - first, strerror(-error->error), extended(message));
      if (message->nlmsg_seq == last) done = true;
    }
  }
}

/* Whether the kernel's link watch has taken note that the link is up. Until then nothing leaves it, and a bridge does not forward. */
static bool is_operational(unsigned number, unsigned link) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
               .link = {.ifi_index = (int)link}};
  static char answer[1 << 15];
  int fd = netlink_of(number, NETLINK_ROUTE);
  ssize_t got = send(fd, &request, sizeof request, 0) < 0 ? -1 : recv(fd, answer, sizeof answer, 0);
  if (got < (ssize_t)sizeof request) fail("await %u link %u: %s", number, link, strerror(errno));
  const struct nlmsghdr *message = (const void *)answer;
  if (message->nlmsg_type != RTM_NEWLINK) fail("await %u link %u: no link", number, link);
  int left = (int)got - (int)NLMSG_SPACE(sizeof(struct ifinfomsg));
  for (const struct rtattr *at = IFLA_RTA(NLMSG_DATA(message)); RTA_OK(at, left); at = RTA_NEXT(at, left))
    if (at->rta_type == IFLA_OPERSTATE) return *(const uint8_t *)RTA_DATA(at) == IF_OPER_UP;
  return false;
}

void await_link(unsigned number, unsigned link) {
  for (int tries = 0; tries < 2000 && !is_operational(number, link); tries++) usleep(1000);
}

/* Whether packets to an IPv6 address are taken: the kernel makes its route later, in a work queue, even without duplicate detection. */
static bool is_local(unsigned number, const struct in6_addr *address) {
  struct {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attribute;
    struct in6_addr address;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
               .route = {.rtm_family = AF_INET6, .rtm_dst_len = 128},
               .attribute = {.rta_len = RTA_LENGTH(sizeof *address), .rta_type = RTA_DST},
               .address = *address};
  static char answer[1 << 13];
  int fd = netlink_of(number, NETLINK_ROUTE);
  ssize_t got = send(fd, &request, sizeof request, 0) < 0 ? -1 : recv(fd, answer, sizeof answer, 0);
  if (got < (ssize_t)NLMSG_SPACE(sizeof(struct rtmsg))) fail("await %u address: %s", number, strerror(errno));
  const struct nlmsghdr *message = (const void *)answer;
  return message->nlmsg_type == RTM_NEWROUTE && ((const struct rtmsg *)NLMSG_DATA(message))->rtm_type == RTN_LOCAL;
}

void await_address(unsigned number, const struct in6_addr *address) {
  for (int tries = 0; tries < 4000 && !is_local(number, address); tries++) usleep(500);
}

void set_sysctl(unsigned number, const char *path, const char *value) {
  enter_space(number);
  char whole[300];
  if (strstr(path, "..") != NULL) fail("plan sysctl %s", path);
  snprintf(whole, sizeof whole, "/proc/sys/%s", path);
  write_file(whole, value, "sysctl");
}

/* Flows of earlier batches are forgotten. */
void flush_conntrack(void) {
  struct {
    struct nlmsghdr header;
    struct nfgenmsg family;
  } request = {.header = {.nlmsg_len = sizeof request,
                          .nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                          .nlmsg_seq = 1}};
  send_requests("flush", 0, NETLINK_NETFILTER, (const uint8_t *)&request, sizeof request);
}

void run_enforcer(const char *command, const uint8_t *input, size_t length) {
  int fd = memfd_create("input", MFD_CLOEXEC);
  if (fd < 0 || write(fd, input, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0) fail("enforcer input: %s", strerror(errno));
  enter_space(0);
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) fail("enforcer: %s", strerror(errno));
  if (pid == 0) {
    /* Our standard output is for answers only, and the plan is not for anybody else. */
    if (dup2(fd, 0) < 0 || dup2(2, 1) < 0) _exit(126);
    for (int open = 3; open < SPACE_FD + MAX_SPACES; open++) fcntl(open, F_SETFD, FD_CLOEXEC);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail("enforcer: %s", strerror(errno));
  close(fd);
  if (WIFSIGNALED(status)) fail("enforcer was ended by signal %d", WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) fail("enforcer ended with status %d", WEXITSTATUS(status));
}
