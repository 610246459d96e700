#include "network.h"

#include <stdlib.h>
#include <string.h>

/* One call, from its entry to its return. */
struct call {
  const char *name;
  struct scripted scripted;
  /* What it runs on; NULL = on nothing. */
  struct open_handle *on;
  char16 **error;
};

/* Enters the call with the lock held, and does what the script wants before it: waiting lets others in. */
static struct call begin(const char *name, handle_value on, enum network_kind kind, char16 **error) {
  monitor_enter(&world);
  struct call call = {name, script_at(name), NULL, error};
  if (error != NULL) *error = NULL;
  if (kind != 0) {
    call.on = handle_of(name, on, kind);
    call.on->calls++;
  }
  if (call.scripted.action == ACTION_BLOCK) {
    monitor_leave(&world);
    sleep_milliseconds(call.scripted.value);
    monitor_enter(&world);
  }
  if (call.scripted.action == ACTION_HOLD) {
    int before = releases;
    while (releases == before) monitor_wait(&world, 100);
  }
  return call;
}

static int is_failing(const struct call *call) { return call->scripted.action == ACTION_FAIL_CALL; }

static result_code end(struct call *call, result_code code) {
  if (is_failing(call)) code = (result_code)call->scripted.value;
  if (code != RESULT_OK && call->error != NULL) {
    char16 *record = is_failing(call) && call->scripted.text != NULL
                         ? text_copy(call->scripted.text)
                         : text_format("{\"Success\":false,\"Error\":\"refused by %s\",\"ErrorCode\":%d}", call->name, code);
    *call->error = counted_text(record);
    free(record);
  }
  if (call->on != NULL) call->on->calls--;
  free(call->scripted.text);
  monitor_leave(&world);
  return code;
}

/* Gives the caller the text, or what the script has in its place. Takes the text. */
static void give(struct call *call, char16 *text, char16 **to) {
  *to = NULL;
  int is_replaced = call->scripted.action == ACTION_RESULT && call->scripted.text != NULL;
  const char16 *given = is_replaced ? call->scripted.text : text;
  if (given != NULL && !is_failing(call) && call->scripted.action != ACTION_NO_RESULT) *to = counted_text(given);
  free(text);
}

/* A query of the second schema. */
static int is_query(const char16 *query) {
  struct json value, version, major;
  return query != NULL && json_parse(query, &value) && json_is_object(value) &&
         json_member(value, "SchemaVersion", &version) && json_member(version, "Major", &major) && json_is(major, "2");
}

static result_code listed(const char *name, const char16 *query, char16 *(*list)(void), char16 **to, char16 **error) {
  struct call call = begin(name, NULL, (enum network_kind)0, error);
  result_code code = is_query(query) ? RESULT_OK : HCN_E_INVALID_JSON;
  give(&call, code == RESULT_OK ? list() : NULL, to);
  return end(&call, code);
}

EXPORT int32_t HcnEnumerateNetworks(const char16 *query, char16 **list, char16 **error) {
  return listed("HcnEnumerateNetworks", query, network_ids, list, error);
}

EXPORT int32_t HcnEnumerateEndpoints(const char16 *query, char16 **list, char16 **error) {
  return listed("HcnEnumerateEndpoints", query, endpoint_ids, list, error);
}

static result_code opened(const char *name, const struct guid *guid, enum network_kind kind, handle_value *to,
                          char16 **error) {
  struct call call = begin(name, NULL, (enum network_kind)0, error);
  char id[GUID_LENGTH];
  guid_text(guid, id);
  *to = NULL;
  result_code code = RESULT_OK;
  if (kind == KIND_NETWORK && !network_exists(id)) code = HCN_E_NETWORK_NOT_FOUND;
  if (kind == KIND_ENDPOINT && !endpoint_exists(id)) code = HCN_E_ENDPOINT_NOT_FOUND;
  if (code == RESULT_OK && !is_failing(&call)) *to = open_handle(kind, id);
  return end(&call, code);
}

EXPORT int32_t HcnOpenNetwork(const struct guid *id, handle_value *network, char16 **error) {
  return opened("HcnOpenNetwork", id, KIND_NETWORK, network, error);
}

EXPORT int32_t HcnOpenEndpoint(const struct guid *id, handle_value *endpoint, char16 **error) {
  return opened("HcnOpenEndpoint", id, KIND_ENDPOINT, endpoint, error);
}

EXPORT int32_t HcnQueryNetworkProperties(handle_value network, const char16 *query, char16 **properties, char16 **error) {
  struct call call = begin("HcnQueryNetworkProperties", network, KIND_NETWORK, error);
  char16 *text = is_query(query) ? network_properties(call.on->id) : NULL;
  result_code code = is_query(query) ? (text != NULL ? RESULT_OK : HCN_E_NETWORK_NOT_FOUND) : HCN_E_INVALID_JSON;
  give(&call, text, properties);
  return end(&call, code);
}

EXPORT int32_t HcnQueryEndpointProperties(handle_value endpoint, const char16 *query, char16 **properties,
                                          char16 **error) {
  struct call call = begin("HcnQueryEndpointProperties", endpoint, KIND_ENDPOINT, error);
  char16 *text = is_query(query) ? endpoint_properties(call.on->id) : NULL;
  result_code code = is_query(query) ? (text != NULL ? RESULT_OK : HCN_E_ENDPOINT_NOT_FOUND) : HCN_E_INVALID_JSON;
  give(&call, text, properties);
  return end(&call, code);
}

/* As the real one may do, it leaves a handle also of a creation that fails by script. */
EXPORT int32_t HcnCreateEndpoint(handle_value network, const struct guid *guid, const char16 *settings,
                                 handle_value *endpoint, char16 **error) {
  struct call call = begin("HcnCreateEndpoint", network, KIND_NETWORK, error);
  char id[GUID_LENGTH];
  guid_text(guid, id);
  *endpoint = NULL;
  result_code code = is_failing(&call) ? RESULT_OK : create_endpoint(call.on->id, id, settings);
  if (code == RESULT_OK) *endpoint = open_handle(KIND_ENDPOINT, id);
  return end(&call, code);
}

EXPORT int32_t HcnModifyEndpoint(handle_value endpoint, const char16 *settings, char16 **error) {
  struct call call = begin("HcnModifyEndpoint", endpoint, KIND_ENDPOINT, error);
  return end(&call, is_failing(&call) ? RESULT_OK : modify_endpoint(call.on->id, settings));
}

EXPORT int32_t HcnDeleteEndpoint(const struct guid *guid, char16 **error) {
  struct call call = begin("HcnDeleteEndpoint", NULL, (enum network_kind)0, error);
  char id[GUID_LENGTH];
  guid_text(guid, id);
  result_code code = endpoint_exists(id) ? RESULT_OK : HCN_E_ENDPOINT_NOT_FOUND;
  if (code == RESULT_OK && !is_failing(&call)) delete_endpoint(id);
  return end(&call, code);
}

static result_code closed(const char *name, handle_value handle, enum network_kind kind) {
  monitor_enter(&world);
  free(script_at(name).text);
  close_handle(name, handle, kind);
  monitor_leave(&world);
  return RESULT_OK;
}

EXPORT int32_t HcnCloseNetwork(handle_value network) { return closed("HcnCloseNetwork", network, KIND_NETWORK); }

EXPORT int32_t HcnCloseEndpoint(handle_value endpoint) { return closed("HcnCloseEndpoint", endpoint, KIND_ENDPOINT); }

/* The older interface: of it, only the version. */
#ifndef DOUBLE_WITHOUT_HNSCALL
EXPORT int32_t HNSCall(const char16 *method, const char16 *path, const char16 *request, char16 **response) {
  struct call call = begin("HNSCall", NULL, (enum network_kind)0, NULL);
  (void)request;
  int is_known = text_is(method, "GET") && text_is(path, "/globals/version");
  give(&call,
       text_from(is_known ? "{\"Success\":true,\"Output\":{\"Major\":13,\"Minor\":2}}"
                          : "{\"Success\":false,\"Error\":\"unknown\"}"),
       response);
  return end(&call, RESULT_OK);
}
#endif
