#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct system *systems = NULL;
static struct system_handle *handles = NULL;
static event_callback closed_callback = NULL;
static void *closed_context = NULL;

struct system *system_of_id(const char16 *id) {
  struct system *system = systems;
  while (system != NULL && !text_equal(system->id, id)) system = system->next;
  return system;
}

int system_count(void) {
  int count = 0;
  for (struct system *each = systems; each != NULL; each = each->next) count++;
  return count;
}

int system_handle_count(void) {
  int count = 0;
  for (struct system_handle *each = handles; each != NULL; each = each->next) count++;
  return count;
}

struct system *new_system(const char16 *id, struct json document) {
  struct system *system = calloc(1, sizeof *system);
  struct json value;
  uint8_t guid[16];
  system->id = text_copy(id);
  system->owner = json_member(document, "Owner", &value) ? json_string(value) : NULL;
  if (system->owner == NULL) system->owner = text_from("");
  system->ends_with_last_handle =
      json_member(document, "ShouldTerminateOnLastHandleClosed", &value) && json_is(value, "true");
  random_bytes(guid, sizeof guid);
  for (int i = 0, at = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) system->runtime_id[at++] = '-';
    at += snprintf(system->runtime_id + at, 3, "%02x", guid[i]);
  }
  system->next = systems;
  systems = system;
  return system;
}

struct system_handle *new_system_handle(struct system *system) {
  struct system_handle *handle = calloc(1, sizeof *handle);
  handle->handle = new_handle(KIND_SYSTEM);
  handle->system = system;
  if (system != NULL) system->handles++;
  handle->next = handles;
  handles = handle;
  return handle;
}

struct system_handle *system_handle_of(const char *call, handle_value value) {
  struct system_handle *handle = handles;
  while (handle != NULL && handle->handle != value) handle = handle->next;
  check_handle(call, value, KIND_SYSTEM, handle);
  return handle;
}

struct system_handle *system_handle_of_remote(int32_t remote) {
  struct system_handle *handle = handles;
  while (handle != NULL && handle->remote != remote) handle = handle->next;
  return handle;
}

void remove_if_unused(struct system *system) {
  if (system->handles > 0 || !(system->ends_with_last_handle || system->state == SYSTEM_STOPPED)) return;
  struct system **at = &systems;
  while (*at != system) at = &(*at)->next;
  *at = system->next;
  free(system->id);
  free(system->owner);
  free(system->exit_document);
  free(system->exit_type);
  free(system);
}

void close_system_handle(struct system_handle *handle) {
  if (handle->calls > 0 || handle->operations > 0)
    violation("HcsCloseComputeSystem: a call on the system is still running");
  if (handle->callback != NULL) {
    closed_callback = handle->callback;
    closed_context = handle->context;
    handle->callback = NULL;
  }
  wait_until_zero(&handle->callbacks, "HcsCloseComputeSystem");
  struct system_handle **at = &handles;
  while (*at != handle) at = &(*at)->next;
  *at = handle->next;
  if (handle->system != NULL) {
    handle->system->handles--;
    remove_if_unused(handle->system);
  }
  if (handle->effects == 0) free(handle);
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

struct delivery {
  handle_value to;
  event_callback callback;
  void *context;
  uint32_t type;
  char16 *data;
};

static void call_back(struct delivery *delivery) {
  struct event event = {delivery->type, delivery->data, NULL};
  delivery->callback(&event, delivery->context);
  /* Whoever reads it later than this shows. */
  if (delivery->data != NULL) memset(delivery->data, 0xdd, text_length(delivery->data) * sizeof(char16));
  memset(&event, 0xdd, sizeof event);
}

static void deliver(void *argument) {
  struct delivery *delivery = argument;
  monitor_enter(&world);
  struct system_handle *to = handles;
  while (to != NULL && to->handle != delivery->to) to = to->next;
  if (delivery->to == NULL) {
    monitor_leave(&world);
    call_back(delivery);
    monitor_enter(&world);
  } else if (to != NULL && to->callback != NULL) {
    to->callbacks++;
    monitor_leave(&world);
    call_back(delivery);
    monitor_enter(&world);
    to->callbacks--;
    monitor_changed(&world);
  }
  monitor_leave(&world);
  free(delivery->data);
  free(delivery);
}

static void send(handle_value to, event_callback callback, void *context, uint32_t type, const char16 *data) {
  struct delivery *delivery = malloc(sizeof *delivery);
  *delivery = (struct delivery){to, callback, context, type, data != NULL ? text_copy(data) : NULL};
  if (!thread_detached(deliver, delivery)) violation("no thread for an event");
}

void send_event(struct system_handle *to, uint32_t type, const char16 *data) {
  if (to->callback != NULL) send(to->handle, to->callback, to->context, type, data);
}

static void send_event_to_closed(uint32_t type, const char16 *data) {
  if (closed_callback != NULL) send(NULL, closed_callback, closed_context, type, data);
}

void system_exits(struct system *system, const char16 *exit_type, int32_t status) {
  if (system->state == SYSTEM_STOPPED) return;
  system->state = SYSTEM_STOPPED;
  system->exit_type = text_copy(exit_type);
  system->exit_document = text_format("{\"Status\":%d,\"ExitType\":\"%S\"}", status, exit_type);
  for (struct system_handle *each = handles; each != NULL; each = each->next)
    if (each->system == system) send_event(each, EVENT_SYSTEM_EXITED, system->exit_document);
  monitor_changed(&world);
}

char16 *properties_of(struct system *system) {
  static const char *const states[] = {"Created", "Created", "Running", "Stopped"};
  char16 *none = text_from("None");
  char16 *text = text_format(
      "{\"Id\":\"%S\",\"SystemType\":\"VirtualMachine\",\"RuntimeOsType\":\"Linux\",\"Name\":\"%S\",\"Owner\":\"%S\","
      "\"RuntimeId\":\"%s\",\"State\":\"%s\",\"Stopped\":%s,\"ExitType\":\"%S\"}",
      system->id, system->id, system->owner, system->runtime_id, states[system->state],
      system->state == SYSTEM_STOPPED ? "true" : "false", system->exit_type != NULL ? system->exit_type : none);
  free(none);
  return text;
}

void send_event_to_all(uint32_t type) {
  for (struct system_handle *each = handles; each != NULL; each = each->next) send_event(each, type, NULL);
}

/* --- what the test sends --------------------------------------------------------------------------------------------- */

/* To every handle of that system. */
EXPORT void DoubleSend(const char16 *id, uint32_t type, const char16 *data) {
  monitor_enter(&world);
  for (struct system_handle *each = handles; each != NULL; each = each->next)
    if (each->system != NULL && text_equal(each->system->id, id)) send_event(each, type, data);
  monitor_leave(&world);
}

/* To where the handle that was closed last had listened, which HCS promises not to do. */
EXPORT void DoubleSendToClosed(uint32_t type, const char16 *data) {
  monitor_enter(&world);
  send_event_to_closed(type, data);
  monitor_leave(&world);
}
