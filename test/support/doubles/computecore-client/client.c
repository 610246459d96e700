/* The same library as a thin client of a service process (simulator/service/service.ts): systems live there, outlive
   their clients as in HCS, and have guests that dial. Handles, operations, texts and scripts are those of the other double;
   what a call does is one request over a Unix socket, on Windows a loopback connection (simulator/wire/rpc.ts: JSON
   lines). */
#include "../computecore/double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the system ------------------------------------------------------------------------------------------------------ */

#ifdef _WIN32
#include <winsock2.h>

typedef SOCKET connection;
#define NO_CONNECTION INVALID_SOCKET
#define SEND_FLAGS 0

/* The address is a port of the loopback address. */
static connection connect_to(const char *address) {
  WSADATA data;
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  name.sin_port = htons((u_short)atoi(address));
  if (WSAStartup(MAKEWORD(2, 2), &data) != 0) return NO_CONNECTION;
  connection connected = socket(AF_INET, SOCK_STREAM, 0);
  BOOL yes = TRUE;
  if (connected != NO_CONNECTION) setsockopt(connected, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof yes);
  if (connected != NO_CONNECTION && connect(connected, (struct sockaddr *)&name, sizeof name) != 0) {
    closesocket(connected);
    return NO_CONNECTION;
  }
  return connected;
}

static void disconnect(connection from) { shutdown(from, SD_BOTH); }
static void close_connection(connection from) { closesocket(from); }

/* As a power cut for the process. */
static void die(void) { TerminateProcess(GetCurrentProcess(), 9); }
#else
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef int connection;
#define NO_CONNECTION (-1)
#define SEND_FLAGS MSG_NOSIGNAL

/* The address is the path of a socket. */
static connection connect_to(const char *address) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  if (strlen(address) >= sizeof name.sun_path) violation("the path of the service is too long");
  strcpy(name.sun_path, address);
  connection connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connected != NO_CONNECTION && connect(connected, (struct sockaddr *)&name, sizeof name) != 0) {
    close(connected);
    return NO_CONNECTION;
  }
  return connected;
}

static void disconnect(connection from) { shutdown(from, SHUT_RDWR); }
static void close_connection(connection from) { close(from); }

/* As a power cut for the process. */
static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}
#endif

#define EVENT_SYSTEM_CRASH_REPORT 3u
#define EVENT_SERVICE_DISCONNECT 0x02000000u
#define HCS_E_SERVICE_DISCONNECT ((result_code)0x8037011e)
#define E_FAILED ((result_code)0x80004005)

/* --- texts: UTF-8 outside, UTF-16 inside ----------------------------------------------------------------------------- */

struct bytes {
  char *at;
  size_t length;
  size_t capacity;
};

static void add_byte(struct bytes *to, char byte) {
  if (to->length == to->capacity) {
    to->capacity = to->capacity == 0 ? 256 : to->capacity * 2;
    to->at = realloc(to->at, to->capacity);
  }
  to->at[to->length++] = byte;
}

static void add_ascii(struct bytes *to, const char *ascii) {
  while (*ascii != 0) add_byte(to, *ascii++);
}

static void add_number(struct bytes *to, int32_t number) {
  char text[16];
  snprintf(text, sizeof text, "%d", number);
  add_ascii(to, text);
}

/* As a JSON string; everything that is not plain ASCII is escaped. */
static void add_string(struct bytes *to, const char16 *text) {
  char escaped[8];
  add_byte(to, '"');
  for (; *text != 0; text++) {
    if (*text >= 0x20 && *text < 0x7f && *text != '"' && *text != '\\') {
      add_byte(to, (char)*text);
    } else {
      snprintf(escaped, sizeof escaped, "\\u%04x", *text);
      add_ascii(to, escaped);
    }
  }
  add_byte(to, '"');
}

static char16 *wide(const char *utf8, size_t length) {
  char16 *text = malloc((length + 1) * sizeof *text);
  size_t at = 0;
  for (size_t i = 0; i < length;) {
    uint8_t first = (uint8_t)utf8[i++];
    int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t point = more == 0 ? first : first & (0x3fu >> more);
    for (; more > 0 && i < length; more--) point = point << 6 | ((uint8_t)utf8[i++] & 0x3f);
    if (point >= 0x10000) text[at++] = (char16)(0xd7c0 + (point >> 10));
    text[at++] = (char16)(point >= 0x10000 ? 0xdc00 + (point & 0x3ff) : point);
  }
  text[at] = 0;
  return text;
}

static int32_t integer(struct json value) {
  int64_t number = 0;
  for (const char16 *at = value.begin; at != value.end; at++) number = number * 10 + (*at - '0');
  return (int32_t)(uint32_t)number;
}

static double number_of(struct json value) {
  char text[64] = {0};
  for (size_t i = 0; i < sizeof text - 1 && value.begin + i != value.end; i++) text[i] = (char)value.begin[i];
  return strtod(text, NULL);
}

static char16 *slice(struct json value) {
  size_t length = (size_t)(value.end - value.begin);
  char16 *text = malloc((length + 1) * sizeof *text);
  memcpy(text, value.begin, length * sizeof *text);
  text[length] = 0;
  return text;
}

/* --- requests and replies -------------------------------------------------------------------------------------------- */

struct reply {
  int32_t number;
  /* NULL until it is there. */
  char16 *line;
  struct reply *next;
};

struct end {
  int32_t remote;
  char16 *document;
  struct end *next;
};

static connection service = NO_CONNECTION;
static int32_t last_number = 0;
static struct reply *replies = NULL;
/* How systems ended, by the service's handles. */
static struct end *ends = NULL;

static char16 *end_of(int32_t remote) {
  for (struct end *each = ends; each != NULL; each = each->next)
    if (each->remote == remote) return each->document;
  return NULL;
}

/* Where the process is to die: at so many requests of that method from now, when it is sent or when it is answered. */
static struct {
  char method[32];
  uint32_t number;
  int is_answered;
} death;

/* Both sides write whole lines, one after the other. */
static void send_all(const struct bytes *line) {
  size_t sent = 0;
  while (sent < line->length && service != NO_CONNECTION) {
    long count = (long)send(service, line->at + sent, (int)(line->length - sent), SEND_FLAGS);
    if (count <= 0) return;
    sent += (size_t)count;
  }
}

/* Holds the lock, but not while it waits. Returns the whole reply, or NULL when the service is gone; `parameters` ends up
   sent and freed. */
static char16 *ask(const char *method, struct bytes *parameters) {
  struct reply *reply = calloc(1, sizeof *reply);
  struct bytes line = {0};
  int is_last = death.number > 0 && strcmp(method, death.method) == 0 && --death.number == 0;
  reply->number = ++last_number;
  reply->next = replies;
  replies = reply;
  add_ascii(&line, "{\"number\":");
  add_number(&line, reply->number);
  add_ascii(&line, ",\"method\":\"");
  add_ascii(&line, method);
  add_ascii(&line, "\",\"params\":{");
  for (size_t i = 0; i < parameters->length; i++) add_byte(&line, parameters->at[i]);
  add_ascii(&line, "}}\n");
  send_all(&line);
  if (is_last && !death.is_answered) die();
  free(line.at);
  free(parameters->at);
  while (reply->line == NULL && service != NO_CONNECTION) monitor_wait(&world, 1000);
  if (is_last) die();
  struct reply **at = &replies;
  while (*at != reply) at = &(*at)->next;
  *at = reply->next;
  char16 *answer = reply->line;
  free(reply);
  return answer;
}

/* What the service answered; a failure's detail becomes the result document. */
static result_code judge(const char16 *answer, struct json *result, char16 **document) {
  struct json line, failure, value;
  if (answer == NULL) return HCS_E_SERVICE_DISCONNECT;
  if (!json_parse(answer, &line)) violation("the service said what is no JSON");
  if (json_member(line, "result", result)) return RESULT_OK;
  if (!json_member(line, "failure", &failure)) violation("the service answered neither with a result nor a failure");
  if (document != NULL && json_member(failure, "detail", &value)) {
    char16 *detail = slice(value);
    *document = text_format("{\"ErrorMessage\":%S}", detail);
    free(detail);
  }
  return json_member(failure, "hresult", &value) ? (result_code)integer(value) : E_FAILED;
}

static void ended(struct json line, struct json number) {
  struct json exit, type, status, crash_log;
  if (!json_member(line, "exit", &exit) || !json_member(exit, "exitType", &type) || !json_member(exit, "status", &status))
    violation("the service told of an end without its exit");
  char16 *text = slice(type);
  struct end *end = malloc(sizeof *end);
  int is_crash = json_member(exit, "crashLog", &crash_log);
  const char *attribution = is_crash ? ",\"Attribution\":[{\"GuestCrash\":{}}]" : "";
  char16 *cause = text_from(attribution);
  *end = (struct end){integer(number),
                      text_format("{\"Status\":%d,\"ExitType\":%S%S}", integer(status), text, cause), ends};
  ends = end;
  free(text);
  free(cause);
  struct system_handle *handle = system_handle_of_remote(end->remote);
  if (handle != NULL && is_crash) {
    char16 *said = slice(crash_log);
    char16 *report = text_format("{\"CrashLog\":%S}", said);
    send_event(handle, EVENT_SYSTEM_CRASH_REPORT, report);
    free(report);
    free(said);
  }
  if (handle != NULL) send_event(handle, EVENT_SYSTEM_EXITED, end->document);
}

static void receive(const char *utf8, size_t length) {
  char16 *text = wide(utf8, length);
  struct json line, number;
  if (!json_parse(text, &line)) violation("the service said what is no JSON");
  if (json_member(line, "ended", &number)) {
    ended(line, number);
  } else if (json_member(line, "number", &number)) {
    for (struct reply *each = replies; each != NULL; each = each->next) {
      if (each->number != integer(number)) continue;
      each->line = text;
      text = NULL;
    }
  }
  free(text);
  monitor_changed(&world);
}

static void read_service(void *argument) {
  connection from = (connection)(intptr_t)argument;
  struct bytes pending = {0};
  char chunk[65536];
  long count;
  while ((count = (long)recv(from, chunk, sizeof chunk, 0)) > 0) {
    monitor_enter(&world);
    for (long i = 0; i < count; i++) {
      if (chunk[i] != '\n') {
        add_byte(&pending, chunk[i]);
        continue;
      }
      receive(pending.at, pending.length);
      pending.length = 0;
    }
    monitor_leave(&world);
  }
  free(pending.at);
  monitor_enter(&world);
  if (service == from) service = NO_CONNECTION;
  close_connection(from);
  send_event_to_all(EVENT_SERVICE_DISCONNECT);
  monitor_changed(&world);
  monitor_leave(&world);
}

/* --- what operations do ---------------------------------------------------------------------------------------------- */

static void add_handle(struct bytes *to, const struct system_handle *on) {
  add_ascii(to, "\"handle\":");
  add_number(to, on->remote);
}

/* Names of members as HCS has them; a quote inside of a string has a backslash before it, so no value is touched. */
static char16 *in_words_of_hcs(struct json value) {
  static const char *const names[][2] = {
      {"\"id\":", "\"Id\":"}, {"\"owner\":", "\"Owner\":"}, {"\"state\":", "\"State\":"}, {"\"runtimeId\":", "\"RuntimeId\":"}};
  char16 *text = slice(value);
  for (size_t name = 0; name < sizeof names / sizeof *names; name++) {
    size_t length = strlen(names[name][0]);
    for (char16 *at = text; *at != 0; at++) {
      size_t same = 0;
      while (same < length && at[same] == (char16)names[name][0][same]) same++;
      if (same == length)
        for (size_t i = 0; i < length; i++) at[i] = (char16)names[name][1][i];
    }
  }
  return text;
}

static result_code request(const char *method, struct bytes *parameters, struct operation *operation) {
  struct json result;
  char16 *answer = ask(method, parameters);
  result_code code = judge(answer, &result, &operation->document);
  free(answer);
  return code;
}

static result_code created(struct system_handle *on, struct operation *operation) {
  struct bytes parameters = {0};
  struct json arguments, id, document, result, handle;
  if (!json_parse(operation->argument, &arguments) || !json_member(arguments, "id", &id) ||
      !json_member(arguments, "document", &document))
    violation("HcsCreateComputeSystem: lost its arguments");
  for (const char16 *at = arguments.begin + 1; at != arguments.end - 1; at++) add_byte(&parameters, (char)*at);
  char16 *answer = ask("create", &parameters);
  result_code code = judge(answer, &result, &operation->document);
  if (code == RESULT_OK && json_member(result, "handle", &handle)) on->remote = integer(handle);
  free(answer);
  return code;
}

static result_code on_handle(const char *method, struct system_handle *on, struct operation *operation) {
  /* Its creation failed, or is under way. */
  if (on->remote == 0) return HCS_E_SYSTEM_NOT_FOUND;
  struct bytes parameters = {0};
  add_handle(&parameters, on);
  return request(method, &parameters, operation);
}

static result_code started(struct system_handle *on, struct operation *operation) {
  return on_handle("start", on, operation);
}

static result_code shut_down(struct system_handle *on, struct operation *operation) {
  return on_handle("shutdown", on, operation);
}

static result_code terminated(struct system_handle *on, struct operation *operation) {
  return on_handle("terminate", on, operation);
}

static result_code modified(struct system_handle *on, struct operation *operation) {
  struct bytes parameters = {0};
  add_handle(&parameters, on);
  add_ascii(&parameters, ",\"document\":");
  add_string(&parameters, operation->argument);
  return request("modify", &parameters, operation);
}

static result_code told(const char *method, const struct system_handle *on, struct operation *operation) {
  struct bytes parameters = {0};
  struct json result;
  if (on != NULL) add_handle(&parameters, on);
  char16 *answer = ask(method, &parameters);
  char16 *failure = NULL;
  result_code code = judge(answer, &result, &failure);
  operation->document = code == RESULT_OK ? in_words_of_hcs(result) : failure;
  free(answer);
  return code;
}

static result_code queried(struct system_handle *on, struct operation *operation) {
  return told("properties", on, operation);
}

static result_code enumerated(struct system_handle *on, struct operation *operation) {
  (void)on;
  return told("enumerate", NULL, operation);
}

/* The service counts seconds and bytes, HCS 100 ns and pages. */
static result_code measured(struct system_handle *on, struct operation *operation) {
  struct bytes parameters = {0};
  struct json result, seconds, bytes;
  add_handle(&parameters, on);
  char16 *answer = ask("statistics", &parameters);
  result_code code = judge(answer, &result, &operation->document);
  if (code == RESULT_OK && json_member(result, "assignedMemoryBytes", &bytes) &&
      json_member(result, "processorSeconds", &seconds)) {
    char ticks[32], pages[32];
    snprintf(ticks, sizeof ticks, "%.0f", number_of(seconds) * 1e7);
    snprintf(pages, sizeof pages, "%.0f", number_of(bytes) / 4096);
    operation->document = text_format(
        "{\"Statistics\":{\"Processor\":{\"TotalRuntime100ns\":%s}},"
        "\"Memory\":{\"VirtualMachineMemory\":{\"AssignedMemory\":%s}}}",
        ticks, pages);
  } else if (code == RESULT_OK) {
    operation->document = text_from("{}");
  }
  free(answer);
  return code;
}

/* --- calls with an operation ----------------------------------------------------------------------------------------- */

EXPORT result_code HcsCreateComputeSystem(const char16 *id, const char16 *configuration, handle_value operation_handle,
                                          void *security, handle_value *created_handle) {
  static const char call[] = "HcsCreateComputeSystem";
  monitor_enter(&world);
  struct operation *operation = operation_of(call, operation_handle);
  struct bytes arguments = {0};
  if (security != NULL) violation("%s: the security descriptor must be NULL", call);
  add_ascii(&arguments, "{\"id\":");
  add_string(&arguments, id);
  add_ascii(&arguments, ",\"document\":");
  add_string(&arguments, configuration);
  add_byte(&arguments, '}');
  operation->argument = wide(arguments.at, arguments.length);
  free(arguments.at);
  struct system_handle *handle = new_system_handle(NULL);
  result_code result = run_operation(call, operation, handle, created, RESULT_OK);
  *created_handle = result == RESULT_OK ? handle->handle : NULL;
  if (result != RESULT_OK) close_system_handle(handle);
  monitor_leave(&world);
  return result;
}

static result_code call_on_system(const char *call, handle_value system, handle_value operation_handle, effect effect,
                                  const char16 *argument) {
  monitor_enter(&world);
  struct system_handle *on = system_handle_of(call, system);
  struct operation *operation = operation_of(call, operation_handle);
  if (argument != NULL) operation->argument = text_copy(argument);
  on->calls++;
  result_code result = run_operation(call, operation, on, effect, RESULT_OK);
  on->calls--;
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsStartComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsStartComputeSystem: the options are not the empty text");
  return call_on_system("HcsStartComputeSystem", system, operation, started, NULL);
}

EXPORT result_code HcsShutDownComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsShutDownComputeSystem: the options are not the empty text");
  return call_on_system("HcsShutDownComputeSystem", system, operation, shut_down, NULL);
}

EXPORT result_code HcsTerminateComputeSystem(handle_value system, handle_value operation, const char16 *options) {
  if (options == NULL || *options != 0) violation("HcsTerminateComputeSystem: the options are not the empty text");
  return call_on_system("HcsTerminateComputeSystem", system, operation, terminated, NULL);
}

EXPORT result_code HcsGetComputeSystemProperties(handle_value system, handle_value operation, const char16 *query) {
  struct json parsed, types;
  int asks_types = query != NULL && json_parse(query, &parsed) && json_member(parsed, "PropertyTypes", &types);
  return call_on_system("HcsGetComputeSystemProperties", system, operation, asks_types ? measured : queried, NULL);
}

EXPORT result_code HcsModifyComputeSystem(handle_value system, handle_value operation, const char16 *configuration,
                                          void *identity) {
  if (identity != NULL) violation("HcsModifyComputeSystem: the identity must be NULL");
  return call_on_system("HcsModifyComputeSystem", system, operation, modified, configuration);
}

EXPORT result_code HcsEnumerateComputeSystems(const char16 *query, handle_value operation_handle) {
  static const char call[] = "HcsEnumerateComputeSystems";
  (void)query;
  monitor_enter(&world);
  struct operation *operation = operation_of(call, operation_handle);
  result_code result = run_operation(call, operation, NULL, enumerated, RESULT_OK);
  monitor_leave(&world);
  return result;
}

/* --- calls without one ----------------------------------------------------------------------------------------------- */

EXPORT result_code HcsOpenComputeSystem(const char16 *id, uint32_t access, handle_value *opened) {
  monitor_enter(&world);
  if (access != 0x10000000u) violation("HcsOpenComputeSystem: access %x is not GENERIC_ALL", access);
  struct bytes parameters = {0};
  struct json result, remote;
  add_ascii(&parameters, "\"id\":");
  add_string(&parameters, id);
  *opened = NULL;
  char16 *answer = ask("open", &parameters);
  result_code code = judge(answer, &result, NULL);
  if (code == RESULT_OK && json_member(result, "handle", &remote)) {
    struct system_handle *handle = new_system_handle(NULL);
    handle->remote = integer(remote);
    *opened = handle->handle;
  }
  free(answer);
  monitor_leave(&world);
  return code;
}

EXPORT void HcsCloseComputeSystem(handle_value system) {
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of("HcsCloseComputeSystem", system);
  if (handle->remote != 0 && service != NO_CONNECTION) {
    struct bytes parameters = {0};
    add_handle(&parameters, handle);
    handle->calls++;
    free(ask("close", &parameters));
    handle->calls--;
  }
  close_system_handle(handle);
  monitor_leave(&world);
}

EXPORT result_code HcsSetComputeSystemCallback(handle_value system, uint32_t options, void *context,
                                               event_callback callback) {
  static const char call[] = "HcsSetComputeSystemCallback";
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of(call, system);
  if (options != 0) violation("%s: unexpected options %x", call, options);
  result_code result = service != NO_CONNECTION ? RESULT_OK : HCS_E_SERVICE_DISCONNECT;
  if (result == RESULT_OK) {
    handle->callback = callback;
    handle->context = context;
  }
  monitor_leave(&world);
  return result;
}

EXPORT result_code HcsGetServiceProperties(const char16 *query, char16 **properties) {
  monitor_enter(&world);
  struct bytes parameters = {0};
  struct json result, count;
  (void)query;
  *properties = NULL;
  char16 *answer = ask("processorTopology", &parameters);
  result_code code = judge(answer, &result, NULL);
  if (code == RESULT_OK && json_member(result, "logicalProcessorCount", &count)) {
    char16 *document =
        text_format("{\"Properties\":[{\"LogicalProcessorCount\":%d,\"LogicalProcessors\":[]}]}", integer(count));
    *properties = result_text(document);
    free(document);
  }
  free(answer);
  monitor_leave(&world);
  return code;
}

static result_code file_access(const char *method, const char16 *id, const char16 *path) {
  monitor_enter(&world);
  struct bytes parameters = {0};
  struct json result;
  add_ascii(&parameters, "\"id\":");
  add_string(&parameters, id);
  add_ascii(&parameters, ",\"path\":");
  add_string(&parameters, path);
  char16 *answer = ask(method, &parameters);
  result_code code = judge(answer, &result, NULL);
  free(answer);
  monitor_leave(&world);
  return code;
}

EXPORT result_code HcsGrantVmAccess(const char16 *id, const char16 *path) { return file_access("grantVmAccess", id, path); }

EXPORT result_code HcsRevokeVmAccess(const char16 *id, const char16 *path) {
  return file_access("revokeVmAccess", id, path);
}

EXPORT result_code HcsWaitForComputeSystemExit(handle_value system, uint32_t timeout, char16 **exit) {
  monitor_enter(&world);
  struct system_handle *handle = system_handle_of("HcsWaitForComputeSystemExit", system);
  uint64_t deadline = now_milliseconds() + timeout;
  result_code result = RESULT_OK;
  *exit = NULL;
  handle->calls++;
  while (result == RESULT_OK && end_of(handle->remote) == NULL) {
    if (now_milliseconds() >= deadline) result = HCS_E_OPERATION_TIMEOUT;
    else monitor_wait(&world, 10);
  }
  if (result == RESULT_OK) *exit = result_text(end_of(handle->remote));
  handle->calls--;
  monitor_leave(&world);
  return result;
}

/* --- the test's ------------------------------------------------------------------------------------------------------ */

/* From now on this is the service; guests dial below that folder. 0 when nobody serves there. */
EXPORT int32_t DoubleConnect(const char *address, const char16 *guest_folder) {
  connection connected = connect_to(address);
  if (connected == NO_CONNECTION) return 0;
  monitor_enter(&world);
  if (service != NO_CONNECTION) disconnect(service);
  service = connected;
  if (!thread_detached(read_service, (void *)(intptr_t)connected)) violation("no thread for the service");
  struct bytes parameters = {0};
  add_ascii(&parameters, "\"socketDirectory\":");
  add_string(&parameters, guest_folder);
  free(ask("hello", &parameters));
  monitor_leave(&world);
  return 1;
}

/* The process dies at that request of the method: once it is sent, or once it is answered and nobody has seen that. */
EXPORT void DoubleDie(const char *method, uint32_t number, int32_t is_answered) {
  monitor_enter(&world);
  snprintf(death.method, sizeof death.method, "%s", method);
  death.number = number;
  death.is_answered = is_answered;
  monitor_leave(&world);
}

EXPORT void DoubleReset(void) {
  monitor_enter(&world);
  script_reset();
  while (ends != NULL) {
    struct end *next = ends->next;
    free(ends->document);
    free(ends);
    ends = next;
  }
  monitor_leave(&world);
}
