// net: the native twin of guests/python/net.py, verb by verb the same; see there. Built static, so that it runs in a
// root that holds nothing else.
//
//   serve PORT [CONNECTIONS]      ask HOST PORT TEXT        bulk HOST PORT BYTES      many HOST PORT COUNT
//   udp-serve PORT [DATAGRAMS]    udp-ask HOST PORT TEXT    resolve NAME
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 18, PATIENCE = 60, CONNECTIONS = 1024 };

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t table[256];

static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
}

// As zlib's: start with 0, hand the last value back in.
static uint32_t crc32(uint32_t sum, const unsigned char *bytes, size_t length) {
    sum = ~sum;
    for (size_t i = 0; i < length; i++) sum = table[(sum ^ bytes[i]) & 255] ^ sum >> 8;
    return ~sum;
}

static void rest(void) { nanosleep(&(struct timespec){0, 50000000}, NULL); }

static void nonblocking(int link) { fcntl(link, F_SETFL, fcntl(link, F_GETFL) | O_NONBLOCK); }

static struct addrinfo *look_up(const char *host, const char *port, int kind) {
    struct addrinfo hints = {.ai_socktype = kind}, *found;
    int result = getaddrinfo(host, port, &hints, &found);
    if (result) {
        fprintf(stderr, "%s: %s\n", host, gai_strerror(result));
        exit(1);
    }
    return found;
}

static int try_each(struct addrinfo *at) {
    for (; at; at = at->ai_next) {
        int link = socket(at->ai_family, at->ai_socktype, 0);
        if (link >= 0 && connect(link, at->ai_addr, at->ai_addrlen) == 0) return link;
        int saved = errno;
        close(link);
        errno = saved;
    }
    return -1;
}

// Tries for a minute, since members of a Pod start side by side.
static int dial(const char *host, const char *port) {
    struct addrinfo *found = look_up(host, port, SOCK_STREAM);
    for (time_t deadline = time(NULL) + PATIENCE; time(NULL) < deadline; rest()) {
        int link = try_each(found);
        if (link >= 0) return freeaddrinfo(found), link;
        if (errno != ECONNREFUSED) break;
    }
    die(host);
    return -1;
}

static void send_all(int link, const void *bytes, size_t length) {
    for (const char *at = bytes; length > 0;) {
        ssize_t count = send(link, at, length, MSG_NOSIGNAL);
        if (count < 0) die("send");
        at += count, length -= (size_t)count;
    }
}

static size_t read_all(int link, char *into, size_t room) {
    size_t used = 0;
    for (ssize_t count; used < room && (count = recv(link, into + used, room - used, 0)) != 0; used += (size_t)count)
        if (count < 0) die("receive");
    return used;
}

static int listen_on(int family, int port, int kind) {
    int server = socket(family, kind, 0), yes = 1;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (family == AF_INET6) setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    int result = family == AF_INET ? bind(server, (void *)&v4, sizeof v4) : bind(server, (void *)&v6, sizeof v6);
    if (server < 0 || result) die("bind");
    if (kind == SOCK_STREAM && listen(server, 128)) die("listen");
    nonblocking(server);
    return server;
}

static void listen_both(int port, int kind, int servers[2]) {
    servers[0] = listen_on(AF_INET, port, kind);
    servers[1] = listen_on(AF_INET6, port, kind);
    printf("listening on %d\n", port);
    fflush(stdout);
}

typedef struct {
    char *buffer;
    size_t start, used;
    uint32_t sum;
    int ended;
} echo;

// Whether the connection is over.
static int echo_read(int link, echo *of) {
    ssize_t count = recv(link, of->buffer, BLOCK, 0);
    if (count < 0) return errno != EAGAIN;
    of->start = 0, of->used = (size_t)count;
    of->sum = crc32(of->sum, (unsigned char *)of->buffer, of->used);
    if (count > 0) return 0;
    of->ended = 1;
    of->used = (size_t)sprintf(of->buffer, "crc32 %08x\n", of->sum);
    return 0;
}

static int echo_write(int link, echo *of) {
    ssize_t count = send(link, of->buffer + of->start, of->used - of->start, MSG_NOSIGNAL);
    if (count < 0) return errno != EAGAIN;
    of->start += (size_t)count;
    return of->ended && of->start == of->used;
}

static struct pollfd links[CONNECTIONS + 2];
static echo echoes[CONNECTIONS + 2];
static size_t open_links = 2;

static void welcome(int link) {
    nonblocking(link);
    links[open_links] = (struct pollfd){link, POLLIN, 0};
    echoes[open_links++] = (echo){.buffer = malloc(BLOCK)};
}

static void farewell(size_t which) {
    close(links[which].fd);
    free(echoes[which].buffer);
    open_links--;
    links[which] = links[open_links];
    echoes[which] = echoes[open_links];
}

static void attend(size_t which) {
    echo *of = &echoes[which];
    int over = of->start < of->used ? echo_write(links[which].fd, of) : echo_read(links[which].fd, of);
    links[which].events = of->start < of->used ? POLLOUT : POLLIN;
    if (over) farewell(which);
}

static int serve(int port, long left) {
    int servers[2], endless = left == 0;
    listen_both(port, SOCK_STREAM, servers);
    while (endless || left > 0 || open_links > 2) {
        for (int i = 0; i < 2; i++)
            links[i] = (struct pollfd){(endless || left > 0) && open_links < CONNECTIONS ? servers[i] : -1, POLLIN, 0};
        if (poll(links, open_links, -1) < 0) die("poll");
        for (size_t i = open_links - 1; i >= 2; i--)
            if (links[i].revents) attend(i);
        for (int i = 0; i < 2; i++) {
            int link = links[i].revents ? accept(servers[i], NULL, NULL) : -1;
            if (link >= 0) welcome(link), left -= !endless;
        }
    }
    return 0;
}

static int ask(const char *host, const char *port, const char *text) {
    static char reply[1 << 20];
    int link = dial(host, port);
    send_all(link, text, strlen(text));
    send_all(link, "\n", 1);
    shutdown(link, SHUT_WR);
    fwrite(reply, 1, read_all(link, reply, sizeof reply), stdout);
    return 0;
}

static void fill(unsigned char *block) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < BLOCK; i += 8) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(block + i, &state, 8);
    }
}

// The writing half: its own process, so that neither half can block the other.
static void send_noise(int link, size_t total) {
    static unsigned char block[2 * BLOCK];
    fill(block);
    memcpy(block + BLOCK, block, BLOCK);
    for (size_t turn = 0; total > 0; turn++) {
        size_t part = total < BLOCK ? total : BLOCK;
        send_all(link, block + turn * 4099 % BLOCK, part);
        total -= part;
    }
    shutdown(link, SHUT_WR);
}

static uint32_t noise_sum(size_t total) {
    static unsigned char block[2 * BLOCK];
    uint32_t sum = 0;
    fill(block);
    memcpy(block + BLOCK, block, BLOCK);
    for (size_t turn = 0; total > 0; turn++) {
        size_t part = total < BLOCK ? total : BLOCK;
        sum = crc32(sum, block + turn * 4099 % BLOCK, part);
        total -= part;
    }
    return sum;
}

static int bulk(const char *host, const char *port, size_t total) {
    static char buffer[BLOCK];
    int link = dial(host, port);
    if (fork() == 0) send_noise(link, total), _exit(0);
    uint32_t ours = noise_sum(total), theirs = 0;
    char tail[64] = "", expected[64];
    size_t received = 0, tail_used = 0;
    for (ssize_t count; (count = recv(link, buffer, BLOCK, 0)) != 0;) {
        if (count < 0) die("receive");
        size_t body = (size_t)count < total - received ? (size_t)count : total - received;
        theirs = crc32(theirs, (unsigned char *)buffer, body);
        received += body;
        for (size_t i = body; i < (size_t)count && tail_used + 1 < sizeof tail; i++) tail[tail_used++] = buffer[i];
    }
    sprintf(expected, "crc32 %08x\n", ours);
    if (received != total || ours != theirs || strcmp(tail, expected)) {
        fprintf(stderr, "bulk: crc32 %08x; got %zu bytes, crc32 %08x, then %s\n", ours, received, theirs, tail);
        return 1;
    }
    printf("%zu bytes there and back, crc32 %08x\n", total, ours);
    return 0;
}

static int many(const char *host, const char *port, int count) {
    static int open_ones[CONNECTIONS];
    char line[64], expected[128], got[256];
    if (count > CONNECTIONS) count = CONNECTIONS;
    for (int i = 0; i < count; i++) open_ones[i] = dial(host, port);
    for (int i = 0; i < count; i++) {
        send_all(open_ones[i], line, (size_t)sprintf(line, "connection %d\n", i));
        shutdown(open_ones[i], SHUT_WR);
    }
    for (int i = count - 1; i >= 0; i--) {
        size_t length = (size_t)sprintf(line, "connection %d\n", i);
        sprintf(expected, "%scrc32 %08x\n", line, crc32(0, (unsigned char *)line, length));
        got[read_all(open_ones[i], got, sizeof got - 1)] = 0;
        if (strcmp(got, expected)) {
            fprintf(stderr, "connection %d: %s\n", i, got);
            return 1;
        }
        close(open_ones[i]);
    }
    printf("%d connections at once, all answered\n", count);
    return 0;
}

static int udp_serve(int port, long left) {
    static char data[65536];
    int servers[2], endless = left == 0;
    listen_both(port, SOCK_DGRAM, servers);
    while (endless || left > 0) {
        struct pollfd both[2] = {{servers[0], POLLIN, 0}, {servers[1], POLLIN, 0}};
        if (poll(both, 2, -1) < 0) die("poll");
        for (int i = 0; i < 2; i++) {
            struct sockaddr_storage from;
            socklen_t size = sizeof from;
            ssize_t count = both[i].revents ? recvfrom(servers[i], data, sizeof data, 0, (void *)&from, &size) : -1;
            if (count >= 0) sendto(servers[i], data, (size_t)count, 0, (void *)&from, size), left -= !endless;
        }
    }
    return 0;
}

static int udp_ask(const char *host, const char *port, const char *text) {
    static char data[65536];
    int link = try_each(look_up(host, port, SOCK_DGRAM));
    if (link < 0) die(host);
    for (time_t deadline = time(NULL) + PATIENCE; time(NULL) < deadline;) {
        struct pollfd answer = {link, POLLIN, 0};
        if (send(link, text, strlen(text), 0) < 0 || poll(&answer, 1, 200) < 1) continue;
        ssize_t count = recv(link, data, sizeof data, 0);
        if (count >= 0) return printf("%.*s\n", (int)count, data), 0;
        rest();
    }
    fprintf(stderr, "no answer from %s %s\n", host, port);
    return 1;
}

static int resolve(const char *name) {
    char address[128];
    for (struct addrinfo *at = look_up(name, NULL, SOCK_STREAM); at; at = at->ai_next) {
        getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
        puts(address);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    make_table();
    signal(SIGCHLD, SIG_IGN);
    if (!strcmp(verb, "serve") && argc > 2) return serve(atoi(argv[2]), argc > 3 ? atol(argv[3]) : 0);
    if (!strcmp(verb, "ask") && argc > 4) return ask(argv[2], argv[3], argv[4]);
    if (!strcmp(verb, "bulk") && argc > 4) return bulk(argv[2], argv[3], strtoul(argv[4], NULL, 10));
    if (!strcmp(verb, "many") && argc > 4) return many(argv[2], argv[3], atoi(argv[4]));
    if (!strcmp(verb, "udp-serve") && argc > 2) return udp_serve(atoi(argv[2]), argc > 3 ? atol(argv[3]) : 0);
    if (!strcmp(verb, "udp-ask") && argc > 4) return udp_ask(argv[2], argv[3], argv[4]);
    if (!strcmp(verb, "resolve") && argc > 2) return resolve(argv[2]);
    fprintf(stderr, "verbs: serve, ask, bulk, many, udp-serve, udp-ask, resolve\n");
    return 1;
}
