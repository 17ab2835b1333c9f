/* A vendor that is faster than any client: Talkdesk's bulk create and Nedzo's single create, one thread of epoll.
 *
 * usage: stub PORT [LATENCY_MS]; port 0: any. Listens on 127.0.0.1 and prints its port in a line.
 *
 *   POST …/records/bulks     {"records":[{…},…]}: 201, every record embedded with an id and "errors":[]
 *   POST anything else       {…}: 200, the record in data.contact with an id
 *   GET /_reset/LATENCY_MS   forget all counts; answer so late from now on
 *   GET /_counts             {"requests", "records", "distinct", "unreadable"}
 *
 * An answer waits in one queue for its time, which holds up nobody: all wait equally long. "distinct" counts the keys,
 * texts like "k1x42" in a record; a key is the number behind its x. Bodies are scanned, not parsed: whoever sends
 * anything but JSON objects is counted as unreadable and answered with 400.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define KEYS (1u << 25)
#define MOST_CONNECTIONS 65536

typedef struct { char *at; size_t size, room; } Text;
typedef struct { int open, writing; uint32_t life; Text in, out; size_t sent; } Connection;
typedef struct Late { struct Late *next; int64_t due; int fd; uint32_t life; size_t size; char at[]; } Late;

static Connection all[MOST_CONNECTIONS];
static uint8_t seen[KEYS / 8];
static struct { uint64_t requests, records, distinct, unreadable; } count;
static uint64_t last_id;
static int64_t latency;
static Late *first_late, *last_late;
static int epoll, timer;
static Text body;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void need(Text *text, size_t more) {
  if (text->size + more <= text->room) return;
  while (text->size + more > text->room) text->room = text->room ? text->room * 2 : 4096;
  text->at = realloc(text->at, text->room);
  if (!text->at) abort();
}

static void add(Text *text, const char *from, size_t size) {
  need(text, size);
  memcpy(text->at + text->size, from, size);
  text->size += size;
}

#define SAY(text, ...) \
  do { need(text, 256); (text)->size += (size_t)snprintf((text)->at + (text)->size, 256, __VA_ARGS__); } while (0)

static void watch(int fd, uint32_t events, int how) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(epoll, how, fd, &event);
}

static void hang_up(int fd) {
  Connection *one = &all[fd];
  one->open = one->writing = 0;
  one->life++;
  one->in.size = one->out.size = one->sent = 0;
  close(fd);
}

static void flush(int fd) {
  Connection *one = &all[fd];
  while (one->sent < one->out.size) {
    ssize_t did = send(fd, one->out.at + one->sent, one->out.size - one->sent, MSG_NOSIGNAL);
    if (did < 0 && errno == EAGAIN) {
      if (!one->writing) watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      one->writing = 1;
      return;
    }
    if (did <= 0) { hang_up(fd); return; }
    one->sent += (size_t)did;
  }
  one->out.size = one->sent = 0;
  if (one->writing) watch(fd, EPOLLIN, EPOLL_CTL_MOD);
  one->writing = 0;
}

static void arm(void) {
  struct itimerspec when = {0};
  if (first_late) {
    when.it_value.tv_sec = first_late->due / 1000000000LL;
    when.it_value.tv_nsec = first_late->due % 1000000000LL;
  }
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Answer with the text in `body`, now or when its time has come. */
static void answer(int fd, const char *status, const char *type, int64_t wait) {
  char head[160];
  int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status,
                        type, body.size);
  if (!wait) {
    add(&all[fd].out, head, (size_t)length);
    add(&all[fd].out, body.at, body.size);
    return;
  }
  Late *late = malloc(sizeof *late + (size_t)length + body.size);
  if (!late) abort();
  *late = (Late){NULL, now() + wait, fd, all[fd].life, (size_t)length + body.size};
  memcpy(late->at, head, (size_t)length);
  memcpy(late->at + length, body.at, body.size);
  if (last_late) last_late->next = late; else first_late = late;
  last_late = late;
  if (first_late == late) arm();
}

static void send_late(void) {
  uint64_t expired;
  if (read(timer, &expired, sizeof expired) < 0 && errno != EAGAIN) abort();
  int64_t moment = now();
  while (first_late && first_late->due <= moment) {
    Late *late = first_late;
    first_late = late->next;
    if (!first_late) last_late = NULL;
    if (all[late->fd].open && all[late->fd].life == late->life) {
      add(&all[late->fd].out, late->at, late->size);
      flush(late->fd);
    }
    free(late);
  }
  arm();
}

static int blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static const char *skip(const char *at, const char *end) {
  while (at < end && blank(*at)) at++;
  return at;
}

static void note_key(const char *at, const char *end) {
  uint64_t number = 0;
  const char *digit = at + 1;
  while (digit < end && *digit >= '0' && *digit <= '9') digit++;
  if (digit == at + 1 || digit >= end || *digit != 'x') return;
  const char *start = ++digit;
  while (digit < end && *digit >= '0' && *digit <= '9') number = number * 10 + (uint64_t)(*digit++ - '0');
  if (digit == start || digit >= end || *digit != '"' || number >= KEYS) return;
  if (!(seen[number / 8] & 1 << number % 8)) count.distinct++;
  seen[number / 8] |= (uint8_t)(1 << number % 8);
}

/* Return what follows the object that begins here, NULL if it does not end. */
static const char *object_end(const char *at, const char *end) {
  int depth = 0;
  if (at >= end || *at != '{') return NULL;
  for (; at < end; at++) {
    if (*at == '"') {
      if (end - at > 3 && at[1] == 'k') note_key(at + 1, end);
      for (at++; at < end && *at != '"'; at++)
        if (*at == '\\') at++;
    } else if (*at == '{' || *at == '[') {
      depth++;
    } else if ((*at == '}' || *at == ']') && --depth == 0) {
      return at + 1;
    }
  }
  return NULL;
}

/* Put one record into the answer, its id before its own members. */
static void echo(const char *at, const char *end) {
  count.records++;
  SAY(&body, "{\"id\":\"r%llu\"", (unsigned long long)++last_id);
  const char *members = skip(at + 1, end);
  if (*members != '}') add(&body, ",", 1);
  add(&body, members, (size_t)(end - 1 - members));
}

static int read_bulk(const char *at, const char *end) {
  uint64_t before = count.records;
  const char *list = memmem(at, (size_t)(end - at), "\"records\"", 9);
  list = list ? memchr(list, '[', (size_t)(end - list)) : NULL;
  if (!list) return 0;
  const char *start = "{\"_embedded\":{\"records\":[";
  add(&body, start, strlen(start));
  for (at = skip(list + 1, end); at < end && *at != ']'; at = skip(at, end)) {
    const char *behind = object_end(at, end);
    if (!behind) return 0;
    echo(at, behind);
    add(&body, ",\"errors\":[]}", 13);
    at = skip(behind, end);
    if (at < end && *at == ',') { at++; add(&body, ",", 1); }
  }
  if (at >= end) return 0;
  SAY(&body, "]},\"total_created\":%llu,\"has_error\":false,\"total_errors\":0}",
      (unsigned long long)(count.records - before));
  return 1;
}

static int read_single(const char *at, const char *end) {
  at = skip(at, end);
  const char *behind = object_end(at, end);
  if (!behind) return 0;
  const char *start = "{\"status_code\":200,\"message\":\"Contact created\",\"data\":{\"contact\":";
  add(&body, start, strlen(start));
  echo(at, behind);
  add(&body, "}}}", 3);
  return 1;
}

static int is(const char *at, size_t size, const char *word) {
  return size >= strlen(word) && !memcmp(at, word, strlen(word));
}

static void serve(int fd, const char *head, size_t head_size, const char *from, size_t size) {
  const char *path = memchr(head, ' ', head_size);
  size_t left = path ? head_size - (size_t)(++path - head) : 0;
  const char *path_end = path ? memchr(path, ' ', left) : NULL;
  body.size = 0;
  if (!path_end) {
    answer(fd, "400 Bad Request", "text/plain", 0);
  } else if (is(path, left, "/_counts")) {
    SAY(&body, "{\"requests\":%llu,\"records\":%llu,\"distinct\":%llu,\"unreadable\":%llu}",
        (unsigned long long)count.requests, (unsigned long long)count.records, (unsigned long long)count.distinct,
        (unsigned long long)count.unreadable);
    answer(fd, "200 OK", "application/json", 0);
  } else if (is(path, left, "/_reset/")) {
    latency = atoll(path + 8) * 1000000LL;
    memset(&count, 0, sizeof count);
    memset(seen, 0, sizeof seen);
    answer(fd, "200 OK", "application/json", 0);
  } else {
    int bulk = path_end - path >= 6 && !memcmp(path_end - 6, "/bulks", 6);
    count.requests++;
    if (bulk ? read_bulk(from, from + size) : read_single(from, from + size)) {
      answer(fd, bulk ? "201 Created" : "200 OK", bulk ? "application/hal+json" : "application/json", latency);
    } else {
      count.unreadable++;
      body.size = 0;
      answer(fd, "400 Bad Request", "text/plain", 0);
    }
  }
}

/* Return the body's length, -1 for a head that is not understood. */
static long length_of(const char *head, size_t size) {
  const char *line = head, *end = head + size;
  long length = 0;
  while ((line = memchr(line, '\n', (size_t)(end - line))) && ++line < end) {
    if (end - line > 16 && !strncasecmp(line, "content-length:", 15)) length = atol(line + 15);
    if (end - line > 18 && !strncasecmp(line, "transfer-encoding:", 18)) return -1;
  }
  return length;
}

static void receive(int fd) {
  Connection *one = &all[fd];
  need(&one->in, 65536);
  ssize_t got = recv(fd, one->in.at + one->in.size, one->in.room - one->in.size, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) { hang_up(fd); return; }
  one->in.size += (size_t)got;
  size_t done = 0;
  while (done < one->in.size) {
    const char *head = one->in.at + done;
    const char *end = memmem(head, one->in.size - done, "\r\n\r\n", 4);
    if (!end) break;
    size_t head_size = (size_t)(end - head) + 4;
    long length = length_of(head, head_size);
    if (length < 0) { hang_up(fd); return; }
    if (one->in.size - done < head_size + (size_t)length) break;
    serve(fd, head, head_size, head + head_size, (size_t)length);
    done += head_size + (size_t)length;
  }
  one->in.size -= done;
  memmove(one->in.at, one->in.at + done, one->in.size);
  flush(fd);
}

static void welcome(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int yes = 1;
    if (fd >= MOST_CONNECTIONS) { close(fd); continue; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    all[fd].open = 1;
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
  }
}

static int listen_at(int port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof place;
  int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&place, size) || listen(listener, 4096)) {
    perror("stub");
    exit(1);
  }
  getsockname(listener, (struct sockaddr *)&place, &size);
  printf("%d\n", ntohs(place.sin_port));
  fflush(stdout);
  return listener;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: stub PORT [LATENCY_MS]\n", stderr);
    return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < MOST_CONNECTIONS ? files.rlim_max : MOST_CONNECTIONS;
  setrlimit(RLIMIT_NOFILE, &files);
  latency = argc > 2 ? atoll(argv[2]) * 1000000LL : 0;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int listener = listen_at(atoi(argv[1]));
  watch(listener, EPOLLIN, EPOLL_CTL_ADD);
  watch(timer, EPOLLIN, EPOLL_CTL_ADD);
  struct epoll_event events[512];
  for (;;) {
    int ready = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) { welcome(listener); continue; }
      if (fd == timer) { send_late(); continue; }
      if (!all[fd].open) continue;
      if (events[i].events & EPOLLOUT) flush(fd);
      if (all[fd].open && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd);
    }
  }
}
