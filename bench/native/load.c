/* What the stub itself can do: one thread of epoll that posts one body over and over, and reads nothing but the length
 * of an answer and its status.
 *
 * usage: load PORT PATH BODY_FILE CONNECTIONS SECONDS; every connection has one request under way. Prints the requests
 * answered and the seconds that they took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define ROOM (1 << 20)

static struct { int fd; size_t sent, got; char *answer; } all[MOST];
static char *request;
static size_t size;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void read_request(const char *path, const char *file) {
  FILE *from = fopen(file, "rb");
  if (!from) fail(file);
  char *body = malloc(ROOM);
  request = malloc(ROOM + 1024);
  if (!body || !request) fail("memory");
  size_t length = fread(body, 1, ROOM, from);
  fclose(from);
  size = (size_t)sprintf(request, "POST %.512s HTTP/1.1\r\nHost: stub\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n", path, length);
  memcpy(request + size, body, length);
  size += length;
  free(body);
}

static void push(int i) {
  while (all[i].sent < size) {
    ssize_t did = send(all[i].fd, request + all[i].sent, size - all[i].sent, MSG_NOSIGNAL);
    if (did <= 0) return;
    all[i].sent += (size_t)did;
  }
}

/* Read what is there; return 1 when the answer is whole. */
static int pull(int i) {
  ssize_t did = recv(all[i].fd, all[i].answer + all[i].got, ROOM - 1 - all[i].got, 0);
  if (did == 0) { fputs("the stub has hung up\n", stderr); exit(1); }
  if (did < 0) return 0;
  all[i].got += (size_t)did;
  all[i].answer[all[i].got] = 0;
  char *end = memmem(all[i].answer, all[i].got, "\r\n\r\n", 4);
  char *length = end ? memmem(all[i].answer, (size_t)(end - all[i].answer), "Content-Length: ", 16) : NULL;
  if (!length || all[i].got < (size_t)(end - all[i].answer) + 4 + (size_t)atol(length + 16)) return 0;
  if (strncmp(all[i].answer + 9, "20", 2)) { fputs("the stub has refused\n", stderr); exit(1); }
  all[i].got = all[i].sent = 0;
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  int connections = atoi(argv[4]) < MOST ? atoi(argv[4]) : MOST;
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  read_request(argv[2], argv[3]);
  int epoll = epoll_create1(0);
  for (int i = 0; i < connections; i++) {
    int yes = 1;
    all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    all[i].answer = malloc(ROOM);
    if (!all[i].answer || connect(all[i].fd, (struct sockaddr *)&place, sizeof place)) fail("connect");
    setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
    push(i);
  }
  double began = now(), end = began + atof(argv[5]);
  long done = 0;
  struct epoll_event events[512];
  while (now() < end) {
    int ready = epoll_wait(epoll, events, 512, 100);
    for (int i = 0; i < ready; i++)
      if (pull((int)events[i].data.u32)) {
        done++;
        push((int)events[i].data.u32);
      }
  }
  printf("%ld %.6f\n", done, now() - began);
  return 0;
}
