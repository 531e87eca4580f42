/* What linux.c and child.c share. */
#ifndef RKT_ADDON_H
#define RKT_ADDON_H

#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <node_api.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(call)                                                     \
  do {                                                                  \
    if ((call) != napi_ok) {                                            \
      napi_throw_error(env, NULL, "linux.node: bad argument: " #call);  \
      return NULL;                                                      \
    }                                                                   \
  } while (0)

/* The last trapped signal, 0 if none arrived. */
extern volatile sig_atomic_t pending_signal;
/* Those that are remembered. */
extern sigset_t trapped_signals;

napi_value number(napi_env env, double value);
/* Copies of JavaScript strings and lists of strings; NULL when they are none. */
char *to_string(napi_env env, napi_value value);
char **to_vector(napi_env env, napi_value array);
void free_vector(char **vector);

napi_value js_run(napi_env env, napi_callback_info info);
napi_value js_send_detached(napi_env env, napi_callback_info info);
napi_value js_run_detached(napi_env env, napi_callback_info info);
napi_value js_end_with(napi_env env, napi_callback_info info);
napi_value js_execve(napi_env env, napi_callback_info info);

#endif
