#include "double.h"

#include <stdlib.h>

static struct operation *operations = NULL;

struct operation *operation_of(const char *call, handle_value handle) {
  struct operation *operation = operations;
  while (operation != NULL && operation->handle != handle) operation = operation->next;
  check_handle(call, handle, KIND_OPERATION, operation);
  return operation;
}

int operation_count(void) {
  int count = 0;
  for (struct operation *each = operations; each != NULL; each = each->next) count++;
  return count;
}

struct run {
  struct operation *operation;
  effect effect;
  struct scripted scripted;
  int releases;
};

/* Terminating the system is what makes an operation return that hangs. */
static int is_waiting(const struct run *run) {
  const struct operation *operation = run->operation;
  if (operation->is_closed || releases != run->releases) return 0;
  if (run->scripted.action == ACTION_HOLD) return 1;
  return operation->on == NULL || operation->on->system == NULL || operation->on->system->state != SYSTEM_STOPPED;
}

static void wait_as_scripted(const struct run *run) {
  if (run->scripted.action == ACTION_HOLD || run->scripted.action == ACTION_HANG) {
    while (is_waiting(run)) monitor_wait(&world, 1000);
  } else if (run->scripted.action == ACTION_DELAY) {
    monitor_leave(&world);
    sleep_milliseconds(run->scripted.value);
    monitor_enter(&world);
  }
}

static void free_operation(struct operation *operation) {
  free(operation->argument);
  free(operation->document);
  free(operation);
}

static result_code effect_of(struct run *run) {
  struct system_handle *on = run->operation->on;
  if (on != NULL) on->effects++;
  result_code result = run->effect(on, run->operation);
  if (on != NULL) on->effects--;
  return result;
}

static void take_effect(struct run *run) {
  struct operation *operation = run->operation;
  struct scripted *scripted = &run->scripted;
  if (scripted->action == ACTION_FAIL_OPERATION) operation->result = (result_code)scripted->value;
  else operation->result = effect_of(run);
  int replaces = scripted->action == ACTION_FAIL_OPERATION || scripted->action == ACTION_RESULT;
  if (replaces || scripted->action == ACTION_NO_RESULT) {
    free(operation->document);
    operation->document = scripted->text;
    scripted->text = NULL;
  }
  free(scripted->text);
}

static void complete(struct run *run) {
  struct operation *operation = run->operation;
  int times = run->scripted.action == ACTION_COMPLETE_TWICE ? 2 : 1;
  operation->state = OPERATION_COMPLETE;
  if (operation->on != NULL) operation->on->operations--;
  operation->callbacks++;
  monitor_changed(&world);
  if (operation->callback != NULL) {
    handle_value handle = operation->handle;
    completion_callback callback = operation->callback;
    void *context = operation->context;
    monitor_leave(&world);
    for (int i = 0; i < times; i++) callback(handle, context);
    monitor_enter(&world);
  }
  operation->callbacks--;
  monitor_changed(&world);
}

static void run_thread(void *argument) {
  struct run *run = argument;
  monitor_enter(&world);
  wait_as_scripted(run);
  if (run->operation->is_closed) free(run->scripted.text);
  else take_effect(run);
  if (run->operation->is_closed) free_operation(run->operation);
  else complete(run);
  monitor_leave(&world);
  free(run);
}

static result_code refuse(struct operation *operation, result_code refusal, char16 *document) {
  free(operation->document);
  operation->document = document;
  operation->result = refusal;
  operation->state = OPERATION_COMPLETE;
  return refusal;
}

result_code run_operation(const char *call, struct operation *operation, struct system_handle *on, effect effect,
                          result_code refusal) {
  if (operation->state != OPERATION_NEW) return HCS_E_OPERATION_ALREADY_STARTED;
  struct scripted scripted = script_at(call);
  if (scripted.action == ACTION_FAIL_CALL) return refuse(operation, (result_code)scripted.value, scripted.text);
  if (scripted.action == ACTION_BLOCK) {
    monitor_leave(&world);
    sleep_milliseconds(scripted.value);
    monitor_enter(&world);
  }
  if (refusal != RESULT_OK) {
    free(scripted.text);
    return refuse(operation, refusal, NULL);
  }
  struct run *run = malloc(sizeof *run);
  *run = (struct run){operation, effect, scripted, releases};
  operation->state = OPERATION_RUNNING;
  operation->on = on;
  if (on != NULL) on->operations++;
  if (!thread_detached(run_thread, run)) violation("%s: no thread", call);
  return RESULT_OK;
}

/* --- exports --------------------------------------------------------------------------------------------------------- */

EXPORT handle_value HcsCreateOperation(void *context, completion_callback callback) {
  monitor_enter(&world);
  struct scripted scripted = script_at("HcsCreateOperation");
  free(scripted.text);
  struct operation *operation = NULL;
  if (scripted.action != ACTION_FAIL_CALL) {
    operation = calloc(1, sizeof *operation);
    operation->handle = new_handle(KIND_OPERATION);
    operation->callback = callback;
    operation->context = context;
    operation->next = operations;
    operations = operation;
  }
  monitor_leave(&world);
  return operation != NULL ? operation->handle : NULL;
}

EXPORT void HcsCloseOperation(handle_value handle) {
  monitor_enter(&world);
  struct operation *operation = operation_of("HcsCloseOperation", handle);
  int is_running = operation->state == OPERATION_RUNNING;
  if (is_running && !operation->is_cancelled) violation("HcsCloseOperation: the operation is still running");
  scripted_call("HcsCloseOperation", NULL);
  wait_until_zero(&operation->callbacks, "HcsCloseOperation");
  struct operation **at = &operations;
  while (*at != operation) at = &(*at)->next;
  *at = operation->next;
  if (is_running) {
    if (operation->on != NULL) operation->on->operations--;
    operation->on = NULL;
    operation->is_closed = 1;
    monitor_changed(&world);
  } else {
    free_operation(operation);
  }
  monitor_leave(&world);
}

/* HCS does not cancel anything, but whoever asked for it may close what still runs: so hcsshim does. */
EXPORT result_code HcsCancelOperation(handle_value handle) {
  monitor_enter(&world);
  struct operation *operation = operation_of("HcsCancelOperation", handle);
  free(script_at("HcsCancelOperation").text);
  operation->is_cancelled = 1;
  monitor_leave(&world);
  return E_NOT_IMPLEMENTED;
}

EXPORT result_code HcsGetOperationResult(handle_value handle, char16 **document) {
  monitor_enter(&world);
  struct operation *operation = operation_of("HcsGetOperationResult", handle);
  struct scripted scripted = script_at("HcsGetOperationResult");
  free(scripted.text);
  result_code result;
  if (document != NULL) *document = NULL;
  if (scripted.action == ACTION_FAIL_CALL) {
    result = (result_code)scripted.value;
  } else if (operation->state != OPERATION_COMPLETE) {
    result = operation->state == OPERATION_NEW ? HCS_E_OPERATION_NOT_STARTED : HCS_E_OPERATION_PENDING;
  } else {
    result = operation->result;
    if (document != NULL) *document = result_text(operation->document);
  }
  monitor_leave(&world);
  return result;
}
