/* The native addon: what JavaScript cannot do itself, kept as thin as possible.
 *
 *   syscall(nr, ...args)  any system call on the calling (main) thread; >= 0 or -errno
 *   run(options)          a child with deadline, own process group, PDEATHSIG, bounded output
 *   execve(path, argv, env, keepFds)   replace this process; returns -errno only when it failed
 *   sendDetached(fd, message) / runDetached(path, argv, env) / endWith(pidfd, text, lingerMs)
 *                         work that nobody has to wait for
 *   trapSignals(list) / pendingSignal() / releaseSignals()
 *                         remember INT/TERM/HUP instead of dying, so that synchronous work can be undone
 *
 * Children and execve are in child.c; everything typed lives in linux.ts. N-API only, so that one file loads on every Node and on Bun. */
#include "addon.h"

napi_value number(napi_env env, double value) {
  napi_value out;
  return napi_create_double(env, value, &out) == napi_ok ? out : NULL;
}

/* ---- strings and string vectors ------------------------------------------------------------------ */

char *to_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text == NULL) return NULL;
  napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

void free_vector(char **vector) {
  if (vector == NULL) return;
  for (char **item = vector; *item != NULL; item++) free(*item);
  free(vector);
}

char **to_vector(napi_env env, napi_value array) {
  uint32_t count = 0;
  if (napi_get_array_length(env, array, &count) != napi_ok) return NULL;
  char **vector = calloc(count + 1, sizeof *vector);
  if (vector == NULL) return NULL;
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    if (napi_get_element(env, array, i, &item) != napi_ok || (vector[i] = to_string(env, item)) == NULL) {
      free_vector(vector);
      return NULL;
    }
  }
  return vector;
}

/* ---- syscall ------------------------------------------------------------------------------------- */

/* One argument: number or bigint = integer, string = NUL-terminated copy (freed after the call),
 * Buffer/TypedArray = its memory, null/undefined = 0. */
static bool to_word(napi_env env, napi_value value, long *word, char **owned) {
  napi_valuetype type;
  *owned = NULL;
  if (napi_typeof(env, value, &type) != napi_ok) return false;
  switch (type) {
    case napi_undefined:
    case napi_null: *word = 0; return true;
    case napi_number: {
      int64_t integer;
      if (napi_get_value_int64(env, value, &integer) != napi_ok) return false;
      *word = (long)integer;
      return true;
    }
    case napi_bigint: {
      uint64_t integer;
      bool lossless;
      if (napi_get_value_bigint_uint64(env, value, &integer, &lossless) != napi_ok) return false;
      *word = (long)integer;
      return true;
    }
    case napi_string: {
      *owned = to_string(env, value);
      *word = (long)(intptr_t)*owned;
      return *owned != NULL;
    }
    default: {
      void *data;
      bool typed = false;
      if (napi_is_buffer(env, value, &typed) == napi_ok && typed) {
        if (napi_get_buffer_info(env, value, &data, NULL) != napi_ok) return false;
        *word = (long)(intptr_t)data;
        return true;
      }
      return false;
    }
  }
}

static napi_value js_syscall(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  long word[7] = {0};
  char *owned[7] = {NULL};
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  bool good = true;
  for (size_t i = 0; i < argc && i < 7 && good; i++) good = to_word(env, argv[i], &word[i], &owned[i]);
  long result = -EINVAL;
  if (good) {
    result = syscall(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
    if (result == -1) result = -(long)errno;
  }
  for (size_t i = 0; i < 7; i++) free(owned[i]);
  if (!good) {
    napi_throw_type_error(env, NULL, "linux.node: syscall takes numbers, bigints, strings, Buffers or null");
    return NULL;
  }
  return number(env, (double)result);
}

/* ---- signals ------------------------------------------------------------------------------------- */

volatile sig_atomic_t pending_signal;
sigset_t trapped_signals; /* all zero: the empty set */

static void remember_signal(int sig) { pending_signal = sig; }

static napi_value js_trap_signals(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value list;
  uint32_t count = 0;
  CHECK(napi_get_cb_info(env, info, &argc, &list, NULL, NULL));
  CHECK(napi_get_array_length(env, list, &count));
  struct sigaction action = {.sa_handler = remember_signal};
  sigemptyset(&action.sa_mask);
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    int32_t sig;
    CHECK(napi_get_element(env, list, i, &item));
    CHECK(napi_get_value_int32(env, item, &sig));
    struct sigaction before;
    /* Ignored stays ignored: nohup and background jobs rely on it. */
    if (sigaction(sig, NULL, &before) == 0 && before.sa_handler != SIG_IGN && sigaction(sig, &action, NULL) == 0)
      sigaddset(&trapped_signals, sig);
  }
  return number(env, 0);
}

static napi_value js_release_signals(napi_env env, napi_callback_info info) {
  (void)info;
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig < NSIG; sig++)
    if (sigismember(&trapped_signals, sig) == 1) sigaction(sig, &action, NULL);
  sigemptyset(&trapped_signals);
  return number(env, 0);
}

static napi_value js_pending_signal(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, pending_signal);
}

NAPI_MODULE_INIT() {
  static const struct { const char *name; napi_callback call; } table[] = {
    {"syscall", js_syscall}, {"run", js_run}, {"execve", js_execve},
    {"sendDetached", js_send_detached}, {"runDetached", js_run_detached}, {"endWith", js_end_with},
    {"trapSignals", js_trap_signals}, {"pendingSignal", js_pending_signal},
    {"releaseSignals", js_release_signals},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    napi_value fn;
    CHECK(napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, NULL, &fn));
    CHECK(napi_set_named_property(env, exports, table[i].name, fn));
  }
  return exports;
}
