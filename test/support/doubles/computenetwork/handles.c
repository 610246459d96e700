#include "network.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

monitor world = MONITOR_INIT;

_Noreturn void violation(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("computenetwork double: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  fflush(stderr);
  va_end(values);
  abort();
}

/* --- handles --------------------------------------------------------------------------------------------------------- */

static struct open_handle *handles = NULL;
static uint64_t last_serial = 0;

handle_value open_handle(enum network_kind kind, const char *id) {
  struct open_handle *opened = malloc(sizeof *opened);
  handle_value handle = (handle_value)(uintptr_t)((++last_serial << 4) | (uint64_t)kind);
  *opened = (struct open_handle){handle, kind, {0}, 0, handles};
  memcpy(opened->id, id, GUID_LENGTH);
  handles = opened;
  return handle;
}

struct open_handle *handle_of(const char *call, handle_value handle, enum network_kind kind) {
  for (struct open_handle *each = handles; each != NULL; each = each->next)
    if (each->handle == handle && each->kind == kind) return each;
  uint64_t value = (uint64_t)(uintptr_t)handle;
  if (value == 0) violation("%s: the handle is NULL", call);
  if ((value & 15) != (uint64_t)kind) violation("%s: the handle is one of another kind", call);
  if ((value >> 4) <= last_serial) violation("%s: the handle was used after it was closed", call);
  violation("%s: there never was such a handle", call);
}

void close_handle(const char *call, handle_value handle, enum network_kind kind) {
  struct open_handle *closed = handle_of(call, handle, kind);
  if (closed->calls > 0) violation("%s: a call on the handle is still running", call);
  struct open_handle **at = &handles;
  while (*at != closed) at = &(*at)->next;
  *at = closed->next;
  free(closed);
}

/* --- texts ----------------------------------------------------------------------------------------------------------- */

struct counted {
  char16 *text;
  struct counted *next;
};

static struct counted *texts = NULL;

char16 *counted_text(const char16 *text) {
  struct counted *counted = malloc(sizeof *counted);
  *counted = (struct counted){text_copy(text), texts};
  texts = counted;
  return counted->text;
}

EXPORT void CoTaskMemFree(void *memory) {
  if (memory == NULL) return;
  monitor_enter(&world);
  struct counted **at = &texts;
  while (*at != NULL && (void *)(*at)->text != memory) at = &(*at)->next;
  if (*at == NULL) violation("CoTaskMemFree: not a text of a call, or freed before");
  struct counted *freed = *at;
  *at = freed->next;
  memset(freed->text, 0xdd, text_length(freed->text) * sizeof(char16));
  free(freed->text);
  free(freed);
  monitor_leave(&world);
}

/* --- counters -------------------------------------------------------------------------------------------------------- */

EXPORT int32_t DoubleCount(const char16 *what) {
  monitor_enter(&world);
  int32_t count = 0;
  if (text_is(what, "texts"))
    for (struct counted *each = texts; each != NULL; each = each->next) count++;
  if (text_is(what, "handles"))
    for (struct open_handle *each = handles; each != NULL; each = each->next) count++;
  monitor_leave(&world);
  return count;
}
