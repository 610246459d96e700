/* What the agent calls of ws2_32.dll, for a Windows without AF_HYPERV: a Hyper-V socket is a TCP socket on a free port of
   the loopback address. Where it listens is the content of a file in the folder HVSOCK_FOLDER, named after the 32 bytes of
   VM id and service id in hexadecimal; the file goes with the socket, however that ends. Where a guest listens is in a file "guest-" of such a name, which the
   test writes. All else is the real library's. */
#include <winsock2.h>
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __declspec(dllexport)
#define FAMILY_HYPERV 34
#define HYPERV_ADDRESS_BYTES 36
#define MOST_LISTENERS 512

static SRWLOCK lock = SRWLOCK_INIT;
static LONG sockets_open;

/* What the test wants to fail next: the Winsock error of the call of that name. */
static char failing_call[16];
static int failing_code;

/* Sockets of the family that have an address. */
static struct listener {
  SOCKET socket;
  HANDLE file;
} listeners[MOST_LISTENERS];

EXPORT void DoubleFail(const char *call, int code) {
  AcquireSRWLockExclusive(&lock);
  failing_code = code;
  snprintf(failing_call, sizeof failing_call, "%s", call);
  ReleaseSRWLockExclusive(&lock);
}

static int is_scripted(const char *call) {
  AcquireSRWLockShared(&lock);
  int is = strcmp(failing_call, call) == 0;
  ReleaseSRWLockShared(&lock);
  return is;
}

static int fails(const char *call) {
  AcquireSRWLockExclusive(&lock);
  int scripted = strcmp(failing_call, call) == 0;
  if (scripted) failing_call[0] = 0;
  int code = failing_code;
  ReleaseSRWLockExclusive(&lock);
  if (scripted) WSASetLastError(code);
  return scripted;
}

/* A poll that takes less is a rest, one that takes this long is idle, in milliseconds. */
#define IDLE_MILLISECONDS 100
/* How polls ended: by a socket, by the end of a rest, by the end of an idle time. */
static LONG polls[3];
static LONG idle_forever;

EXPORT int DoublePolls(int how) { return InterlockedCompareExchange(&polls[how], 0, 0); }

/* From now on only a socket ends a poll that is idle. */
EXPORT void DoubleIdleForever(int forever) { InterlockedExchange(&idle_forever, forever); }

EXPORT int DoubleOpenSockets(void) { return InterlockedCompareExchange(&sockets_open, 0, 0); }

static int refuse(int code) {
  WSASetLastError(code);
  return SOCKET_ERROR;
}

static SOCKET opened(SOCKET socket) {
  if (socket != INVALID_SOCKET) InterlockedIncrement(&sockets_open);
  return socket;
}

/* --- the files ------------------------------------------------------------------------------------------------------- */

/* An address that is taken has a file that cannot be opened a second time. */
static HANDLE take_address(const uint8_t *address) {
  char path[MAX_PATH];
  DWORD length = GetEnvironmentVariableA("HVSOCK_FOLDER", path, MAX_PATH - 80);
  if (length == 0 || length >= MAX_PATH - 80) return INVALID_HANDLE_VALUE;
  char *at = path + length;
  *at++ = '\\';
  for (int i = 4; i < HYPERV_ADDRESS_BYTES; i++) at += sprintf(at, "%02x", address[i]);
  return CreateFileA(path, GENERIC_WRITE | DELETE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
}

static struct listener *listener_of(SOCKET socket) {
  for (int i = 0; i < MOST_LISTENERS; i++)
    if (listeners[i].socket == socket && listeners[i].file != NULL) return &listeners[i];
  return NULL;
}

static int keep(SOCKET socket, HANDLE file) {
  AcquireSRWLockExclusive(&lock);
  int at = 0;
  while (at < MOST_LISTENERS && listeners[at].file != NULL) at++;
  if (at < MOST_LISTENERS) listeners[at] = (struct listener){socket, file};
  ReleaseSRWLockExclusive(&lock);
  return at < MOST_LISTENERS;
}

static void forget(SOCKET socket) {
  AcquireSRWLockExclusive(&lock);
  struct listener *listener = listener_of(socket);
  HANDLE file = listener != NULL ? listener->file : NULL;
  if (listener != NULL) *listener = (struct listener){0, NULL};
  ReleaseSRWLockExclusive(&lock);
  if (file != NULL) CloseHandle(file);
}

static int publish(SOCKET socket) {
  AcquireSRWLockExclusive(&lock);
  struct listener *listener = listener_of(socket);
  HANDLE file = listener != NULL ? listener->file : NULL;
  ReleaseSRWLockExclusive(&lock);
  if (file == NULL) return 0;
  struct sockaddr_in name;
  int length = sizeof name;
  char port[8];
  DWORD written;
  if (getsockname(socket, (struct sockaddr *)&name, &length) != 0) return SOCKET_ERROR;
  int digits = sprintf(port, "%u\n", ntohs(name.sin_port));
  return WriteFile(file, port, (DWORD)digits, &written, NULL) ? 0 : refuse(WSAEFAULT);
}

/* --- the calls ------------------------------------------------------------------------------------------------------- */

EXPORT int ProxyStartup(uint16_t version, WSADATA *data) { return WSAStartup(version, data); }

EXPORT int ProxyLastError(void) { return WSAGetLastError(); }

EXPORT SOCKET ProxySocket(int family, int type, int protocol) {
  if (fails("socket")) return INVALID_SOCKET;
  if (family != FAMILY_HYPERV) return opened(socket(family, type, protocol));
  if (type == SOCK_STREAM && protocol == 1) return opened(socket(AF_INET, SOCK_STREAM, 0));
  WSASetLastError(WSAEINVAL);
  return INVALID_SOCKET;
}

EXPORT int ProxyBind(SOCKET socket, const uint8_t *address, int length) {
  if (fails("bind")) return SOCKET_ERROR;
  if (address[0] != FAMILY_HYPERV || address[1] != 0) return bind(socket, (const struct sockaddr *)address, length);
  if (length != HYPERV_ADDRESS_BYTES) return refuse(WSAEINVAL);
  HANDLE file = take_address(address);
  if (file == INVALID_HANDLE_VALUE) return refuse(GetLastError() == ERROR_SHARING_VIOLATION ? WSAEADDRINUSE : WSAENETDOWN);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  /* Like the buffers of the real thing, which are small. */
  int buffer = 64 << 10;
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, (const char *)&buffer, sizeof buffer);
  if (bind(socket, (const struct sockaddr *)&name, sizeof name) == 0) {
    if (keep(socket, file)) return 0;
    WSASetLastError(WSAENOBUFS);
  }
  int code = WSAGetLastError();
  CloseHandle(file);
  return refuse(code);
}

EXPORT int ProxyGetsockname(SOCKET socket, uint8_t *address, int32_t *length) {
  int size = *length;
  int result = getsockname(socket, (struct sockaddr *)address, &size);
  *length = size;
  return result;
}

EXPORT int ProxyListen(SOCKET socket, int backlog) {
  if (fails("listen") || listen(socket, backlog) != 0) return SOCKET_ERROR;
  return publish(socket);
}

EXPORT SOCKET ProxyAccept(SOCKET socket, struct sockaddr *address, int *length) {
  if (fails("accept")) return INVALID_SOCKET;
  SOCKET accepted = opened(accept(socket, address, length));
  BOOL yes = TRUE;
  if (accepted != INVALID_SOCKET) setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof yes);
  return accepted;
}

/* No file, no listener. */
static unsigned short port_of_guest(const uint8_t *address) {
  char path[MAX_PATH], text[8] = "";
  DWORD length = GetEnvironmentVariableA("HVSOCK_FOLDER", path, MAX_PATH - 80), count = 0;
  if (length == 0 || length >= MAX_PATH - 80) return 0;
  char *at = path + length;
  at += sprintf(at, "\\guest-");
  for (int i = 4; i < HYPERV_ADDRESS_BYTES; i++) at += sprintf(at, "%02x", address[i]);
  HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
  if (file == INVALID_HANDLE_VALUE) return 0;
  ReadFile(file, text, sizeof text - 1, &count, NULL);
  CloseHandle(file);
  return (unsigned short)strtoul(text, NULL, 10);
}

/* A connection that gets no answer: the test lets its call fail with WSAEWOULDBLOCK. One at a time. */
static SOCKET hanging = INVALID_SOCKET;

EXPORT int ProxyConnect(SOCKET socket, const uint8_t *address, int length) {
  if (fails("connect")) {
    if (WSAGetLastError() == WSAEWOULDBLOCK) hanging = socket;
    return SOCKET_ERROR;
  }
  if (length != HYPERV_ADDRESS_BYTES) return refuse(WSAEINVAL);
  unsigned short port = port_of_guest(address);
  if (port == 0) return refuse(WSAECONNREFUSED);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  BOOL yes = TRUE;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof yes);
  return connect(socket, (const struct sockaddr *)&name, sizeof name);
}

EXPORT int ProxyGetsockopt(SOCKET socket, int level, int option, char *value, int32_t *length) {
  int size = *length;
  int result = getsockopt(socket, level, option, value, &size);
  *length = size;
  /* The answer to a connection that was under way. */
  if (result == 0 && fails("getsockopt")) *(int *)value = WSAGetLastError();
  return result;
}

EXPORT int ProxyIoctl(SOCKET socket, int32_t command, u_long *argument) {
  return command == (int32_t)FIONBIO && *argument == 1 ? ioctlsocket(socket, command, argument) : refuse(WSAEINVAL);
}

static int is_stream(SOCKET socket) {
  int type = 0, length = sizeof type;
  getsockopt(socket, SOL_SOCKET, SO_TYPE, (char *)&type, &length);
  return type == SOCK_STREAM;
}

EXPORT int ProxyRecv(SOCKET socket, char *bytes, int length, int flags) {
  /* What wakes the pump is no matter of the test. */
  if (is_scripted("recv") && is_stream(socket) && fails("recv")) return SOCKET_ERROR;
  return recv(socket, bytes, length, flags);
}

EXPORT int ProxySend(SOCKET socket, const char *bytes, int length, int flags) {
  return fails("send") ? SOCKET_ERROR : send(socket, bytes, length, flags);
}

EXPORT int ProxyShutdown(SOCKET socket, int how) { return fails("shutdown") ? SOCKET_ERROR : shutdown(socket, how); }

EXPORT int ProxyClose(SOCKET socket) {
  forget(socket);
  if (socket == hanging) hanging = INVALID_SOCKET;
  int result = closesocket(socket);
  if (result == 0) InterlockedDecrement(&sockets_open);
  return result;
}

EXPORT int ProxyPoll(WSAPOLLFD *entries, uint32_t count, int milliseconds) {
  if (fails("WSAPoll")) return SOCKET_ERROR;
  int is_idle = milliseconds >= IDLE_MILLISECONDS;
  int forever = is_idle && InterlockedCompareExchange(&idle_forever, 0, 0) != 0;
  int result = WSAPoll(entries, count, forever ? -1 : milliseconds);
  for (uint32_t i = 0; result > 0 && i < count; i++) {
    if (entries[i].fd != hanging || entries[i].revents == 0) continue;
    /* To the system it is not connected, which counts as an event at once. */
    entries[i].revents = 0;
    result -= 1;
    Sleep(1);
  }
  if (result >= 0) InterlockedIncrement(&polls[result > 0 ? 0 : is_idle ? 2 : 1]);
  return result;
}
