/* The exports of ws2_32.dll that the agent calls, on Linux: a Hyper-V socket is a Unix socket whose abstract name is
   "hvsock-" and the 32 bytes of VM id and service id in hexadecimal. Guests listen under names that begin with "hvguest-". The kernel is asked directly, because the names of
   these exports are those of the C library's functions. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT(name) __asm__(name) __attribute__((visibility("default")))

#define FAMILY_HYPERV 34
#define HYPERV_ADDRESS_BYTES 36
#define WOULD_BLOCK 10035
#define SOCKET_LEVEL 0xffff
#define SOCKET_ERROR_OPTION 0x1007
#define FIONBIO_COMMAND ((int32_t)0x8004667e)

static __thread int last_error;
static int sockets_open;

/* What the test wants to fail next: the Winsock error of the call of that name. */
static char failing_call[16];
static int failing_code;

static const struct {
  int linux_error;
  int winsock_error;
} errors[] = {
    {EACCES, 10013},    {EINVAL, 10022},       {EAGAIN, 10035},     {EAFNOSUPPORT, 10047}, {EADDRINUSE, 10048},
    {ECONNREFUSED, 10061}, {ENOENT, 10061}, {EPROTOTYPE, 10061},
    {ECONNABORTED, 10053}, {ECONNRESET, 10054}, {EPIPE, 10054},      {ENOTCONN, 10057},     {EBADF, 10038},
    {ENOTSOCK, 10038},
};

static long outcome(long result) {
  if (result >= 0) return result;
  last_error = 10000;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].linux_error == errno) last_error = errors[i].winsock_error;
  return -1;
}

static int fails(const char *call) {
  if (strcmp(failing_call, call) != 0) return 0;
  failing_call[0] = 0;
  last_error = failing_code;
  return 1;
}

void fail_next(const char *call, int code) EXPORT("DoubleFail");
void fail_next(const char *call, int code) {
  failing_code = code;
  strncpy(failing_call, call, sizeof failing_call - 1);
}

/* A poll that takes less is a rest, one that takes this long is idle, in milliseconds. */
#define IDLE_MILLISECONDS 100
/* How polls ended: by a socket, by the end of a rest, by the end of an idle time. */
static int polls[3];
static int idle_forever;

int count_polls(int how) EXPORT("DoublePolls");
int count_polls(int how) { return __atomic_load_n(&polls[how], __ATOMIC_SEQ_CST); }

/* From now on only a socket ends a poll that is idle. */
void let_idle_polls_last(int forever) EXPORT("DoubleIdleForever");
void let_idle_polls_last(int forever) { __atomic_store_n(&idle_forever, forever, __ATOMIC_SEQ_CST); }

int count_open(void) EXPORT("DoubleOpenSockets");
int count_open(void) { return __atomic_load_n(&sockets_open, __ATOMIC_SEQ_CST); }

static intptr_t opened(long result) {
  if (result >= 0) __atomic_add_fetch(&sockets_open, 1, __ATOMIC_SEQ_CST);
  return outcome(result);
}

int ws_startup(uint16_t version, uint8_t *data) EXPORT("WSAStartup");
int ws_startup(uint16_t version, uint8_t *data) {
  data[0] = (uint8_t)version;
  return version == 0x0202 ? 0 : 10092;
}

int ws_last_error(void) EXPORT("WSAGetLastError");
int ws_last_error(void) { return last_error; }

intptr_t ws_socket(int family, int type, int protocol) EXPORT("socket");
intptr_t ws_socket(int family, int type, int protocol) {
  if (fails("socket")) return -1;
  if (family == FAMILY_HYPERV) {
    errno = EINVAL;
    if (type != SOCK_STREAM || protocol != 1) return outcome(-1);
    return opened(syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  return opened(syscall(SYS_socket, family, type | SOCK_CLOEXEC, protocol));
}

static socklen_t unix_address(const char *prefix, const uint8_t *address, struct sockaddr_un *name) {
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  char *at = name->sun_path + 1;
  at += sprintf(at, "%s-", prefix);
  for (int i = 4; i < HYPERV_ADDRESS_BYTES; i++) at += sprintf(at, "%02x", address[i]);
  return (socklen_t)(at - (char *)name);
}

int ws_bind(intptr_t socket, const uint8_t *address, int length) EXPORT("bind");
int ws_bind(intptr_t socket, const uint8_t *address, int length) {
  if (fails("bind")) return -1;
  if (address[0] != FAMILY_HYPERV || address[1] != 0) return (int)outcome(syscall(SYS_bind, socket, address, length));
  errno = EINVAL;
  if (length != HYPERV_ADDRESS_BYTES) return (int)outcome(-1);
  struct sockaddr_un name;
  socklen_t name_length = unix_address("hvsock", address, &name);
  return (int)outcome(syscall(SYS_bind, socket, &name, name_length));
}

int ws_getsockname(intptr_t socket, uint8_t *address, int32_t *length) EXPORT("getsockname");
int ws_getsockname(intptr_t socket, uint8_t *address, int32_t *length) {
  return (int)outcome(syscall(SYS_getsockname, socket, address, length));
}

int ws_listen(intptr_t socket, int backlog) EXPORT("listen");
int ws_listen(intptr_t socket, int backlog) {
  return fails("listen") ? -1 : (int)outcome(syscall(SYS_listen, socket, backlog));
}

intptr_t ws_accept(intptr_t socket, void *address, void *length) EXPORT("accept");
intptr_t ws_accept(intptr_t socket, void *address, void *length) {
  if (fails("accept")) return -1;
  return opened(syscall(SYS_accept4, socket, address, length, SOCK_CLOEXEC));
}

/* Sockets whose connection is under way, with no answer yet. */
#define MOST_HANGING 1024
static unsigned char hanging[MOST_HANGING];

static int is_hanging(intptr_t socket) {
  return socket >= 0 && socket < MOST_HANGING && __atomic_load_n(&hanging[socket], __ATOMIC_SEQ_CST);
}

static void let_hang(intptr_t socket, int hangs) {
  if (socket >= 0 && socket < MOST_HANGING) __atomic_store_n(&hanging[socket], (unsigned char)hangs, __ATOMIC_SEQ_CST);
}

/* A guest whose queue of connections is full does not answer, and neither does one that the test lets fail with
   WSAEWOULDBLOCK. */
int ws_connect(intptr_t socket, const uint8_t *address, int length) EXPORT("connect");
int ws_connect(intptr_t socket, const uint8_t *address, int length) {
  if (fails("connect")) {
    let_hang(socket, last_error == WOULD_BLOCK);
    return -1;
  }
  errno = EINVAL;
  if (length != HYPERV_ADDRESS_BYTES) return (int)outcome(-1);
  struct sockaddr_un name;
  socklen_t name_length = unix_address("hvguest", address, &name);
  int result = (int)outcome(syscall(SYS_connect, socket, &name, name_length));
  if (result < 0) let_hang(socket, last_error == WOULD_BLOCK);
  return result;
}

int ws_getsockopt(intptr_t socket, int level, int option, int32_t *value, int32_t *length) EXPORT("getsockopt");
int ws_getsockopt(intptr_t socket, int level, int option, int32_t *value, int32_t *length) {
  (void)socket;
  errno = EINVAL;
  if (level != SOCKET_LEVEL || option != SOCKET_ERROR_OPTION || *length != sizeof *value) return (int)outcome(-1);
  /* The answer to a connection that was under way. */
  *value = fails("getsockopt") ? last_error : 0;
  return 0;
}

int ws_ioctl(intptr_t socket, int32_t command, int32_t *argument) EXPORT("ioctlsocket");
int ws_ioctl(intptr_t socket, int32_t command, int32_t *argument) {
  errno = EINVAL;
  if (command != FIONBIO_COMMAND || *argument != 1) return (int)outcome(-1);
  return (int)outcome(syscall(SYS_fcntl, socket, F_SETFL, O_NONBLOCK));
}

static int is_stream(intptr_t socket) {
  int type = 0;
  socklen_t length = sizeof type;
  syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_TYPE, &type, &length);
  return type == SOCK_STREAM;
}

int ws_recv(intptr_t socket, uint8_t *bytes, int length, int flags) EXPORT("recv");
int ws_recv(intptr_t socket, uint8_t *bytes, int length, int flags) {
  if (is_stream(socket) && fails("recv")) return -1;
  return (int)outcome(syscall(SYS_recvfrom, socket, bytes, length, flags, NULL, NULL));
}

int ws_send(intptr_t socket, const uint8_t *bytes, int length, int flags) EXPORT("send");
int ws_send(intptr_t socket, const uint8_t *bytes, int length, int flags) {
  if (fails("send")) return -1;
  return (int)outcome(syscall(SYS_sendto, socket, bytes, length, flags | MSG_NOSIGNAL, NULL, 0));
}

int ws_shutdown(intptr_t socket, int how) EXPORT("shutdown");
int ws_shutdown(intptr_t socket, int how) {
  return fails("shutdown") ? -1 : (int)outcome(syscall(SYS_shutdown, socket, how));
}

int ws_close(intptr_t socket) EXPORT("closesocket");
int ws_close(intptr_t socket) {
  let_hang(socket, 0);
  long result = syscall(SYS_close, socket);
  if (result == 0) __atomic_sub_fetch(&sockets_open, 1, __ATOMIC_SEQ_CST);
  return (int)outcome(result);
}

struct winsock_poll {
  intptr_t socket;
  int16_t events;
  int16_t happened;
};

#define READABLE 0x0100
#define WRITABLE 0x0010

int ws_poll(struct winsock_poll *entries, uint32_t count, int milliseconds) EXPORT("WSAPoll");
int ws_poll(struct winsock_poll *entries, uint32_t count, int milliseconds) {
  struct pollfd polled[1024];
  if (fails("WSAPoll")) return -1;
  errno = EINVAL;
  if (count == 0 || count > 1024) return (int)outcome(-1);
  for (uint32_t i = 0; i < count; i++) {
    int events = (entries[i].events & READABLE ? POLLIN : 0) | (entries[i].events & WRITABLE ? POLLOUT : 0);
    int polls_it = !is_hanging(entries[i].socket);
    polled[i] = (struct pollfd){polls_it ? (int)entries[i].socket : -1, (short)events, 0};
  }
  int is_idle = milliseconds >= IDLE_MILLISECONDS;
  int forever = is_idle && __atomic_load_n(&idle_forever, __ATOMIC_SEQ_CST);
  long result = syscall(SYS_poll, polled, count, forever ? -1 : milliseconds);
  if (result >= 0) __atomic_fetch_add(&polls[result > 0 ? 0 : is_idle ? 2 : 1], 1, __ATOMIC_SEQ_CST);
  if (result < 0 && errno == EINTR) result = 0;
  for (uint32_t i = 0; i < count; i++) {
    short happened = result > 0 ? polled[i].revents : 0;
    entries[i].happened = (int16_t)((happened & POLLIN ? READABLE : 0) | (happened & POLLOUT ? WRITABLE : 0) |
                                    (happened & POLLERR ? 1 : 0) | (happened & POLLHUP ? 2 : 0) |
                                    (happened & POLLNVAL ? 4 : 0));
  }
  return (int)outcome(result);
}
