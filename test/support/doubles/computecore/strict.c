#include "double.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

monitor world = MONITOR_INIT;

_Noreturn void violation(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("computecore double: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  fflush(stderr);
  va_end(values);
  abort();
}

void wait_until_zero(const int *count, const char *what) {
  uint64_t deadline = now_milliseconds() + DEADLOCK_MILLISECONDS;
  while (*count != 0) {
    if (now_milliseconds() >= deadline) violation("deadlock: %s waits for a callback that does not return", what);
    monitor_wait(&world, 100);
  }
}

/* --- handles --------------------------------------------------------------------------------------------------------- */

static uint64_t last_serial = 0;

handle_value new_handle(enum handle_kind kind) { return (handle_value)(uintptr_t)((++last_serial << 4) | kind); }

void check_handle(const char *call, handle_value handle, enum handle_kind kind, const void *object) {
  uint64_t value = (uint64_t)(uintptr_t)handle;
  if (object != NULL) return;
  if (value == 0) violation("%s: the handle is NULL", call);
  if ((value & 15) != kind) violation("%s: the handle is one of another kind", call);
  if ((value >> 4) <= last_serial) violation("%s: the handle was used after it was closed", call);
  violation("%s: there never was such a handle", call);
}

/* --- result texts ---------------------------------------------------------------------------------------------------- */

struct result {
  char16 *text;
  struct result *next;
};

static struct result *results = NULL;
static int result_count = 0;

char16 *result_text(const char16 *text) {
  if (text == NULL) return NULL;
  struct result *result = malloc(sizeof *result);
  *result = (struct result){text_copy(text), results};
  results = result;
  result_count++;
  return result->text;
}

EXPORT void *LOCAL_FREE(void *memory) {
  if (memory == NULL) return NULL;
  monitor_enter(&world);
  struct result **at = &results;
  while (*at != NULL && (void *)(*at)->text != memory) at = &(*at)->next;
  if (*at == NULL) violation("LocalFree: not a result text, or freed before");
  struct result *freed = *at;
  *at = freed->next;
  result_count--;
  memset(freed->text, 0xdd, text_length(freed->text) * sizeof(char16));
  free(freed->text);
  free(freed);
  monitor_leave(&world);
  return NULL;
}

/* --- counters -------------------------------------------------------------------------------------------------------- */

EXPORT int32_t DoubleCount(const char16 *what) {
  monitor_enter(&world);
  int32_t count = -1;
  if (text_is(what, "texts")) count = result_count;
  if (text_is(what, "operations")) count = operation_count();
  if (text_is(what, "handles")) count = system_handle_count();
  if (text_is(what, "systems")) count = system_count();
  monitor_leave(&world);
  return count;
}
