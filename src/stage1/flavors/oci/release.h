/* The release of a pod: what frees its addresses, ports and rules when it ends. Format and meaning: src/model/release.ts */
#ifndef RKT_RELEASE_H
#define RKT_RELEASE_H

#include <stdint.h>

#include "supervisor.h"

/* Bytes that are read from the front. */
struct span {
  const unsigned char *at, *end;
};

/* Frees what the file `release` of the pod directory names; nothing without one (--net-release=gc). A child goes on with it
 * when this returns, unless `first`. Whoever wants to undo the pod waits for the lock on that file. The pod's own lock
 * (`lock_fd`) is this process's alone by then, so that the pod counts as ended when we do. */
void release_pod(const struct pod *pod, int lock_fd, bool first);

/* Goes through the operations in `file`; with `dry` only checks that all of them are whole. False when one is not. */
bool release_all(struct span file, bool dry);

/* ---- reading (release.c): each takes from the front of `in`; false or NULL when that is not there ---- */

bool take_number(struct span *in, uint32_t *number);
bool take_bytes(struct span *in, struct span *bytes);
/* Text that ends with its only NUL. */
const char *take_text(struct span *in);

/* ---- release_netlink.c: false when `in` is malformed ---- */

/* comment, then pairs of (question, removal): removes those elements of table inet rkt that carry the comment. */
bool remove_elements(struct span in, bool dry);
/* a dump of conntrack: forgets every flow it lists. */
bool forget_flows(struct span in, bool dry);

#endif
