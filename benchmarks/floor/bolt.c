/* The least that a Bolt proxy can cost: frames found, ids swapped, all callers on one upstream connection.
 *
 * One thread, one epoll; what one turn of it brings leaves as one write for each connection. It routes nothing, keeps no
 * statistics, has no timeouts, believes every length and answers no heartbeat.
 *
 *   bolt LISTEN_PORT UPSTREAM_PORT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES = 1024, EVENTS = 256, BUFFER = 1024 * 1024, CALLS = 1 << 16 };
enum { TYPE_AT = 1, ID_AT = 5, REQUEST_HEAD = 22, RESPONSE_HEAD = 20, LENGTHS = 8, RESPONSE = 0 };

struct connection {
    unsigned char *in, *out;
    size_t have, queued;
};

static struct connection connections[FILES];
static int upstream, touched[FILES], touched_count;
static struct {
    int caller;
    unsigned char id[4];
} calls[CALLS];
static uint32_t next_call;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int epoll, int fd) {
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    struct connection *connection = &connections[fd];
    if (fd < 0 || fd >= FILES) die("too many connections");
    if (!connection->in) {
        connection->in = malloc(BUFFER);
        connection->out = malloc(BUFFER);
    }
    connection->have = connection->queued = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

/* Length of the frame at the front; 0: it is not whole yet. */
static size_t frame_length(const unsigned char *at, size_t have) {
    if (have < REQUEST_HEAD) return 0;
    size_t head = at[TYPE_AT] == RESPONSE ? RESPONSE_HEAD : REQUEST_HEAD;
    uint16_t class, header;
    uint32_t content;
    memcpy(&class, at + head - LENGTHS, sizeof class);
    memcpy(&header, at + head - LENGTHS + 2, sizeof header);
    memcpy(&content, at + head - LENGTHS + 4, sizeof content);
    size_t length = head + ntohs(class) + ntohs(header) + ntohl(content);
    if (length > BUFFER) die("frame too long");
    return length <= have ? length : 0;
}

static void queue(int fd, const unsigned char *frame, size_t length, const void *id) {
    struct connection *to = &connections[fd];
    if (to->queued + length > BUFFER) die("queue full");
    if (to->queued == 0) touched[touched_count++] = fd;
    memcpy(to->out + to->queued, frame, length);
    memcpy(to->out + to->queued + ID_AT, id, 4);
    to->queued += length;
}

static void swap(int fd, unsigned char *frame, size_t length) {
    uint32_t number;
    if (fd == upstream) {
        memcpy(&number, frame + ID_AT, sizeof number);
        if (calls[number % CALLS].caller > 0) queue(calls[number % CALLS].caller, frame, length, calls[number % CALLS].id);
        return;
    }
    number = next_call++ % CALLS;
    calls[number].caller = fd;
    memcpy(calls[number].id, frame + ID_AT, 4);
    queue(upstream, frame, length, &number);
}

static void ended(int fd) {
    if (fd == upstream) exit(0);
    for (int call = 0; call < CALLS; call++)
        if (calls[call].caller == fd) calls[call].caller = 0;
    connections[fd].queued = 0;
    close(fd);
}

static void take_in(int fd) {
    struct connection *from = &connections[fd];
    ssize_t size = read(fd, from->in + from->have, BUFFER - from->have);
    if (size <= 0) {
        ended(fd);
        return;
    }
    from->have += (size_t)size;
    size_t at = 0, length;
    while ((length = frame_length(from->in + at, from->have - at)) > 0) {
        swap(fd, from->in + at, length);
        at += length;
    }
    from->have -= at;
    memmove(from->in, from->in + at, from->have);
}

static void send_all(int fd) {
    struct connection *to = &connections[fd];
    for (size_t sent = 0; sent < to->queued;) {
        ssize_t written = write(fd, to->out + sent, to->queued - sent);
        if (written <= 0) break;
        sent += (size_t)written;
    }
    to->queued = 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: bolt LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in own = loopback(argv[1]), server = loopback(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0 || listen(listener, 512) < 0) die("listen");
    upstream = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(upstream, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
    watch(epoll, upstream);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS, -1);
        for (int number = 0; number < count; number++) {
            if (ready[number].data.fd == listener)
                watch(epoll, accept(listener, NULL, NULL));
            else
                take_in(ready[number].data.fd);
        }
        for (int number = 0; number < touched_count; number++) send_all(touched[number]);
        touched_count = 0;
    }
}
