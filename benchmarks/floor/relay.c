/* The least that any proxy on this machine can cost: bytes read on one side are written on the other, unread.
 *
 * One thread, one epoll, one upstream connection for each client's. It parses nothing, keeps no statistics, has no
 * timeouts: what it spends is the kernel's and the scheduler's share, which every proxy pays.
 *
 *   relay LISTEN_PORT UPSTREAM_PORT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES = 4096, EVENTS = 256, BUFFER = 256 * 1024 };

static int peer[FILES]; /* the other side of each descriptor */
static char buffer[BUFFER];

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
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void accept_one(int epoll, int listener, const struct sockaddr_in *upstream) {
    int client = accept(listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || server < 0 || client >= FILES || server >= FILES) die("accept");
    if (connect(server, (const struct sockaddr *)upstream, sizeof *upstream) < 0) die("connect");
    peer[client] = server;
    peer[server] = client;
    watch(epoll, client);
    watch(epoll, server);
}

static void relay(int fd) {
    ssize_t size = read(fd, buffer, sizeof buffer);
    for (ssize_t sent = 0; sent < size;) {
        ssize_t written = write(peer[fd], buffer + sent, (size_t)(size - sent));
        if (written <= 0) {
            size = 0;
            break;
        }
        sent += written;
    }
    if (size <= 0) {
        close(peer[fd]);
        close(fd);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in own = loopback(argv[1]), upstream = loopback(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0 || listen(listener, 512) < 0) die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS, -1);
        for (int number = 0; number < count; number++) {
            if (ready[number].data.fd == listener)
                accept_one(epoll, listener, &upstream);
            else
                relay(ready[number].data.fd);
        }
    }
}
