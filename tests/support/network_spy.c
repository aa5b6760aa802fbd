/* Preloaded into a program: refuses every look-up of a name and every connection that leaves the host's own sockets, and writes each
   down in the file that NETWORK_SPY names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void noted(const char *call, const char *detail) {
  char line[512];
  const int length = snprintf(line, sizeof line, "%s %s\n", call, detail ? detail : "");
  const int file = open(getenv("NETWORK_SPY"), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0 || write(file, line, length) != length) abort();
  close(file);
}

static int leaves(const struct sockaddr *to) { return to && (to->sa_family == AF_INET || to->sa_family == AF_INET6); }

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  (void)service, (void)hints, (void)found;
  noted("getaddrinfo", name);
  return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name) {
  noted("gethostbyname", name);
  h_errno = NO_RECOVERY;
  return NULL;
}

int connect(int socket, const struct sockaddr *to, socklen_t size) {
  if (!leaves(to)) return ((int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect"))(socket, to, size);
  noted("connect", "");
  errno = ENETUNREACH;
  return -1;
}

ssize_t sendto(int socket, const void *data, size_t count, int flags, const struct sockaddr *to, socklen_t size) {
  if (!leaves(to))
    return ((ssize_t (*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto"))(
        socket, data, count, flags, to, size);
  noted("sendto", "");
  errno = ENETUNREACH;
  return -1;
}
