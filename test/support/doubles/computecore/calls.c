/* The exports that act on compute systems and on the service. */
#include "double.h"

#include <stdlib.h>

/* --- effects --------------------------------------------------------------------------------------------------------- */

static result_code state_of(struct system_handle *on) {
  if (on->system == NULL) return HCS_E_SYSTEM_NOT_FOUND;
  if (on->system->state == SYSTEM_STOPPED) return HCS_E_SYSTEM_ALREADY_STOPPED;
  return RESULT_OK;
}

static result_code created(struct system_handle *on, struct operation *operation) {
  (void)operation;
  if (on->system == NULL) return HCS_E_SYSTEM_ALREADY_EXISTS;
  if (on->system->state == SYSTEM_STOPPED) return HCS_E_TERMINATED;
  on->system->state = SYSTEM_CREATED;
  return RESULT_OK;
}

static result_code started(struct system_handle *on, struct operation *operation) {
  (void)operation;
  result_code refusal = state_of(on);
  if (refusal != RESULT_OK) return refusal;
  if (on->system->state != SYSTEM_CREATED) return HCS_E_INVALID_STATE;
  on->system->state = SYSTEM_RUNNING;
  return RESULT_OK;
}

static result_code ends(struct system_handle *on, const char *exit_type) {
  result_code refusal = state_of(on);
  if (refusal != RESULT_OK) return refusal;
  char16 *type = text_from(exit_type);
  system_exits(on->system, type, 0);
  free(type);
  return RESULT_OK;
}

static result_code shut_down(struct system_handle *on, struct operation *operation) {
  (void)operation;
  if (on->system != NULL && on->system->state != SYSTEM_RUNNING && on->system->state != SYSTEM_STOPPED)
    return HCS_E_INVALID_STATE;
  return ends(on, "GracefulExit");
}

static result_code terminated(struct system_handle *on, struct operation *operation) {
  (void)operation;
  return ends(on, "ForcedExit");
}

static result_code modified(struct system_handle *on, struct operation *operation) {
  (void)operation;
  return state_of(on);
}

static result_code queried(struct system_handle *on, struct operation *operation) {
  if (on->system == NULL) return HCS_E_SYSTEM_NOT_FOUND;
  operation->document = properties_of(on->system);
  return RESULT_OK;
}

/* What a running system has used: a tenth of a second of processor time, and 64 MiB. */
static result_code measured(struct system_handle *on, struct operation *operation) {
  result_code result = queried(on, operation);
  if (result != RESULT_OK || on->system->state != SYSTEM_RUNNING) return result;
  char16 *basic = operation->document;
  basic[text_length(basic) - 1] = 0;
  operation->document = text_format(
      "%S,\"Statistics\":{\"Uptime100ns\":20000000,\"Processor\":{\"TotalRuntime100ns\":1000000}},"
      "\"Memory\":{\"VirtualNodeCount\":1,\"VirtualMachineMemory\":{\"AssignedMemory\":16384}}}",
      basic);
  free(basic);
  return RESULT_OK;
}

static result_code enumerated(struct system_handle *on, struct operation *operation) {
  (void)on;
  operation->document = text_from("[");
  for (struct system *each = systems; each != NULL; each = each->next) {
    if (each->state == SYSTEM_CREATING) continue;
    char16 *before = operation->document;
    char16 *properties = properties_of(each);
    operation->document = text_format("%S%s%S", before, before[1] == 0 ? "" : ",", properties);
    free(before);
    free(properties);
  }
  char16 *before = operation->document;
  operation->document = text_format("%S]", before);
  free(before);
  return RESULT_OK;
}

/* --- documents: the upper two levels of the schema (hcs-documents §8) ------------------------------------------------ */

static const char *const document_members[] = {
    "Owner", "SchemaVersion", "HostingSystemId", "HostedSystem", "Container", "VirtualMachine",
    "ShouldTerminateOnLastHandleClosed", NULL};
static const char *const machine_members[] = {
    "Version", "StopOnReset", "Chipset", "ComputeTopology", "Devices", "GuestState", "RestoreState", "RegistryChanges",
    "StorageQoS", "DebugOptions", "GuestConnection", "SecuritySettings", "ResourcePartitionId", "MigrationOptions", NULL};

static int is_document(const char16 *text, struct json *document) {
  struct json machine;
  return text != NULL && json_parse(text, document) && json_is_object(*document) &&
         json_members_among(*document, document_members) && json_member(*document, "VirtualMachine", &machine) &&
         json_is_object(machine) && json_members_among(machine, machine_members);
}

static int is_modification(const char16 *text) {
  struct json document, path;
  return text != NULL && json_parse(text, &document) && json_member(document, "ResourcePath", &path);
}

/* --- calls with an operation ----------------------------------------------------------------------------------------- */

static struct system *add_system(const char16 *id, struct json document) {
  return system_of_id(id) == NULL ? new_system(id, document) : NULL;
}

/* A system that never came to be goes with the handle that it got. */
EXPORT result_code HcsCreateComputeSystem(const char16 *id, const char16 *configuration, handle_value operation_handle,
                                          void *security, handle_value *created_handle) {
  static const char call[] = "HcsCreateComputeSystem";
  monitor_enter(&world);
  struct operation *operation = operation_of(call, operation_handle);
  if (security != NULL) violation("%s: the security descriptor must be NULL", call);
  struct json document;
  int is_valid = is_document(configuration, &document);
  struct system_handle *handle = is_valid ? new_system_handle(add_system(id, document)) : NULL;
  *created_handle = NULL;
  result_code result = run_operation(call, operation, handle, created, is_valid ? RESULT_OK : HCS_E_INVALID_JSON);
  if (result == RESULT_OK) {
    *created_handle = handle->handle;
  } else if (handle != NULL) {
    if (handle->system != NULL) handle->system->ends_with_last_handle = 1;
    close_system_handle(handle);
  }
  monitor_leave(&world);
  return result;
}

static result_code call_on_system(const char *call, handle_value system, handle_value operation_handle, effect effect,
                                  result_code refusal) {
  monitor_enter(&world);
  struct system_handle *on = system_handle_of(call, system);
  struct operation *operation = operation_of(call, operation_handle);
  on->calls++;
  result_code result = run_operation(call, operation, on, effect, refusal);
  on->calls--;
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsStartComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsStartComputeSystem: the options are not the empty text");
  return call_on_system("HcsStartComputeSystem", system, operation, started, RESULT_OK);
}

EXPORT result_code HcsShutDownComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsShutDownComputeSystem: the options are not the empty text");
  return call_on_system("HcsShutDownComputeSystem", system, operation, shut_down, RESULT_OK);
}

EXPORT result_code HcsTerminateComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsTerminateComputeSystem: the options are not the empty text");
  return call_on_system("HcsTerminateComputeSystem", system, operation, terminated, RESULT_OK);
}

EXPORT result_code HcsGetComputeSystemProperties(handle_value system, handle_value operation, const char16 *query) {
  struct json parsed, types;
  int is_query = query == NULL || json_parse(query, &parsed);
  effect effect = query != NULL && is_query && json_member(parsed, "PropertyTypes", &types) ? measured : queried;
  result_code refusal = is_query ? RESULT_OK : HCS_E_INVALID_JSON;
  return call_on_system("HcsGetComputeSystemProperties", system, operation, effect, refusal);
}

EXPORT result_code HcsModifyComputeSystem(handle_value system, handle_value operation, const char16 *configuration,
                                          void *identity) {
  if (identity != NULL) violation("HcsModifyComputeSystem: the identity must be NULL");
  result_code refusal = is_modification(configuration) ? RESULT_OK : HCS_E_INVALID_JSON;
  return call_on_system("HcsModifyComputeSystem", system, operation, modified, refusal);
}

EXPORT result_code HcsEnumerateComputeSystems(const char16 *query, handle_value operation_handle) {
  static const char call[] = "HcsEnumerateComputeSystems";
  struct json parsed;
  monitor_enter(&world);
  struct operation *operation = operation_of(call, operation_handle);
  result_code refusal = query == NULL || json_parse(query, &parsed) ? RESULT_OK : HCS_E_INVALID_JSON;
  result_code result = run_operation(call, operation, NULL, enumerated, refusal);
  monitor_leave(&world);
  return result;
}

/* --- calls without one ----------------------------------------------------------------------------------------------- */

EXPORT result_code HcsOpenComputeSystem(const char16 *id, uint32_t access, handle_value *opened) {
  monitor_enter(&world);
  if (access != 0x10000000u) violation("HcsOpenComputeSystem: access %x is not GENERIC_ALL", access);
  *opened = NULL;
  result_code result = scripted_call("HcsOpenComputeSystem", NULL);
  struct system *system = system_of_id(id);
  if (result == RESULT_OK && (system == NULL || system->state == SYSTEM_CREATING)) result = HCS_E_SYSTEM_NOT_FOUND;
  if (result == RESULT_OK) *opened = new_system_handle(system)->handle;
  monitor_leave(&world);
  return result;
}

EXPORT void HcsCloseComputeSystem(handle_value system) {
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of("HcsCloseComputeSystem", system);
  handle->calls++;
  scripted_call("HcsCloseComputeSystem", NULL);
  handle->calls--;
  close_system_handle(handle);
  monitor_leave(&world);
}

EXPORT result_code HcsSetComputeSystemCallback(handle_value system, uint32_t options, void *context,
                                               event_callback callback) {
  static const char call[] = "HcsSetComputeSystemCallback";
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of(call, system);
  if (options != 0) violation("%s: unexpected options %x", call, options);
  handle->calls++;
  result_code result = scripted_call(call, NULL);
  handle->calls--;
  if (result == RESULT_OK && handle->system == NULL) result = HCS_E_SYSTEM_NOT_FOUND;
  if (result == RESULT_OK) {
    handle->callback = callback;
    handle->context = context;
  }
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsGetServiceProperties(const char16 *query, char16 **properties) {
  monitor_enter(&world);
  struct json parsed;
  char16 *replaced = NULL;
  *properties = NULL;
  result_code result = scripted_call("HcsGetServiceProperties", &replaced);
  if (result == RESULT_OK && query != NULL && !json_parse(query, &parsed)) result = HCS_E_INVALID_JSON;
  char16 *topology = text_from(
      "{\"Properties\":[{\"LogicalProcessorCount\":2,\"LogicalProcessors\":["
      "{\"LpIndex\":0,\"NodeNumber\":0,\"PackageId\":0,\"CoreId\":0,\"RootVpIndex\":0},"
      "{\"LpIndex\":1,\"NodeNumber\":0,\"PackageId\":0,\"CoreId\":1,\"RootVpIndex\":1}]}]}");
  if (replaced != NULL || result == RESULT_OK) *properties = result_text(replaced != NULL ? replaced : topology);
  free(topology);
  free(replaced);
  monitor_leave(&world);
  return result;
}

static result_code file_access(const char *call, const char16 *id, const char16 *path) {
  monitor_enter(&world);
  result_code result = scripted_call(call, NULL);
  if (result == RESULT_OK && (path == NULL || *path == 0 || (id != NULL && *id == 0))) result = E_INVALID_ARGUMENT;
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsGrantVmAccess(const char16 *id, const char16 *path) {
  return file_access("HcsGrantVmAccess", id, path);
}

EXPORT result_code HcsRevokeVmAccess(const char16 *id, const char16 *path) {
  return file_access("HcsRevokeVmAccess", id, path);
}

/* What came after Windows Server 2019. */
#ifndef DOUBLE_OF_SERVER_2019
EXPORT result_code HcsWaitForComputeSystemExit(handle_value system, uint32_t timeout, char16 **exit) {
  static const char call[] = "HcsWaitForComputeSystemExit";
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of(call, system);
  uint64_t deadline = now_milliseconds() + timeout;
  handle->calls++;
  char16 *replaced = NULL;
  result_code result = scripted_call(call, &replaced);
  *exit = NULL;
  while (result == RESULT_OK && handle->system->state != SYSTEM_STOPPED) {
    if (now_milliseconds() >= deadline) result = HCS_E_OPERATION_TIMEOUT;
    else monitor_wait(&world, 10);
  }
  if (result == RESULT_OK) *exit = result_text(replaced != NULL ? replaced : handle->system->exit_document);
  free(replaced);
  handle->calls--;
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsGrantVmGroupAccess(const char16 *path) { return file_access("HcsGrantVmGroupAccess", NULL, path); }

EXPORT result_code HcsRevokeVmGroupAccess(const char16 *path) { return file_access("HcsRevokeVmGroupAccess", NULL, path); }
#endif

/* --- what the test does to systems ----------------------------------------------------------------------------------- */

/* The guest of that id ends by itself. */
EXPORT int32_t DoubleExit(const char16 *id, const char16 *exit_type, int32_t status) {
  monitor_enter(&world);
  struct system *system = system_of_id(id);
  if (system != NULL) system_exits(system, exit_type, status);
  monitor_leave(&world);
  return system != NULL;
}

/* Systems that outlive their handles go, and what was scripted with them. */
EXPORT void DoubleReset(void) {
  monitor_enter(&world);
  script_reset();
  for (struct system *each = systems, *next; each != NULL; each = next) {
    next = each->next;
    each->ends_with_last_handle = 1;
    remove_if_unused(each);
  }
  monitor_leave(&world);
}
