// An HTTP component in plain C: routes that the tests and examples ask for.
//
//   /               a greeting                      /count          how many requests this instance has seen
//   /echo           streams the body back           /headers        the request's headers, one per line
//   /sleep?ms=N     waits, then answers             /file?path=P    a file, streamed; 404 and the reason if it can't
//   /print?text=T   T on standard output and error  /env?name=N     a variable of the environment
//   /eat?mib=N      takes memory                    /trap, /spin    never answer
//
// The WASI functions are called as the canonical ABI lays them out, by hand, so that no generator has to be
// installed: `wasm-tools component new` checks every signature below against guests/wit. A result is written to
// memory that the caller hands in: a tag byte (0 is success), then the payload at its own alignment.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int32_t handle;

#define IMPORT(interface, function) \
    __attribute__((import_module("wasi:" interface "@0.2.12"), import_name(function))) extern

typedef struct {
    char *start;
    size_t length;
} text;

typedef struct {
    uint8_t failed;
    handle value;
} handle_result;

typedef struct {
    uint8_t present;
    text value;
} optional_text;

typedef struct {
    uint8_t failed;
    uint64_t value;
} count_result;

typedef struct {
    text name, value;
} header;

typedef struct {
    header *start;
    size_t length;
} header_list;

IMPORT("http/types", "[method]incoming-request.path-with-query") void request_path(handle, optional_text *);
IMPORT("http/types", "[method]incoming-request.headers") handle request_headers(handle);
IMPORT("http/types", "[method]incoming-request.consume") void request_consume(handle, handle_result *);
IMPORT("http/types", "[resource-drop]incoming-request") void request_drop(handle);
IMPORT("http/types", "[method]incoming-body.stream") void incoming_stream(handle, handle_result *);
IMPORT("http/types", "[resource-drop]incoming-body") void incoming_drop(handle);
IMPORT("http/types", "[constructor]fields") handle fields_new(void);
IMPORT("http/types", "[method]fields.append") void fields_append(handle, const char *, size_t, const char *, size_t,
                                                                uint8_t *);
IMPORT("http/types", "[method]fields.entries") void fields_entries(handle, header_list *);
IMPORT("http/types", "[resource-drop]fields") void fields_drop(handle);
IMPORT("http/types", "[constructor]outgoing-response") handle response_new(handle);
IMPORT("http/types", "[method]outgoing-response.set-status-code") int32_t response_status(handle, int32_t);
IMPORT("http/types", "[method]outgoing-response.body") void response_body(handle, handle_result *);
IMPORT("http/types", "[method]outgoing-body.write") void outgoing_stream(handle, handle_result *);
IMPORT("http/types", "[static]outgoing-body.finish") void outgoing_finish(handle, int32_t, handle, void *);
IMPORT("http/types", "[static]response-outparam.set") void outparam_set(handle, int32_t, handle, int32_t, int64_t,
                                                                       int32_t, int32_t, int32_t, int32_t);
IMPORT("io/streams", "[method]output-stream.blocking-write-and-flush") void stream_write(handle, const char *, size_t,
                                                                                       uint32_t *);
IMPORT("io/streams", "[method]output-stream.blocking-splice") void stream_splice(handle, handle, uint64_t,
                                                                               count_result *);
IMPORT("io/streams", "[method]output-stream.blocking-flush") void stream_flush(handle, uint32_t *);
IMPORT("io/streams", "[resource-drop]input-stream") void input_drop(handle);
IMPORT("io/streams", "[resource-drop]output-stream") void output_drop(handle);

// The host puts what it returns into memory that it asks for here.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size;
    if (size == 0) return (void *)align;
    void *block = realloc(old, size);
    if (!block) __builtin_trap();
    return block;
}

typedef struct {
    handle body, stream;
} answer;

// Sends status and headers at once, so that a body may be streamed for as long as it takes.
static answer begin(handle outparam, int status) {
    static const char name[] = "content-type", value[] = "text/plain; charset=utf-8";
    uint8_t refused[16];
    handle_result body, stream;
    handle fields = fields_new();
    fields_append(fields, name, sizeof name - 1, value, sizeof value - 1, refused);
    handle response = response_new(fields);
    response_status(response, status);
    response_body(response, &body);
    outgoing_stream(body.value, &stream);
    outparam_set(outparam, 0, response, 0, 0, 0, 0, 0, 0);
    return (answer){body.value, stream.value};
}

// The interface takes 4096 bytes a time. A client that has gone is not an error of ours: stop writing.
static int put(answer to, const char *bytes, size_t length) {
    for (size_t part; length > 0; bytes += part, length -= part) {
        uint32_t result[3];
        part = length < 4096 ? length : 4096;
        stream_write(to.stream, bytes, part, result);
        if (result[0] & 0xff) return -1;
    }
    return 0;
}

static void end(answer to) {
    uint64_t result[8];
    output_drop(to.stream);
    outgoing_finish(to.body, 0, 0, result);
}

static void reply(handle outparam, int status, const char *message) {
    answer to = begin(outparam, status);
    put(to, message, strlen(message));
    end(to);
}

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// The value of `name` in the query, percent-decoded; "" if there is none.
static const char *parameter(const char *query, const char *name) {
    static char value[4096];
    size_t length = strlen(name), used = 0;
    while (query && !(strncmp(query, name, length) == 0 && query[length] == '=')) {
        query = strchr(query, '&');
        if (query) query++;
    }
    for (const char *at = query ? query + length + 1 : ""; *at && *at != '&' && used + 1 < sizeof value; at++) {
        int coded = *at == '%' && hex(at[1]) >= 0 && hex(at[2]) >= 0;
        value[used++] = coded ? (char)(hex(at[1]) * 16 + hex(at[2])) : *at == '+' ? ' ' : *at;
        at += coded ? 2 : 0;
    }
    value[used] = 0;
    return value;
}

// The host moves the bytes from stream to stream; they never enter this memory.
static void echo(handle request, handle outparam) {
    handle_result body, source;
    count_result moved;
    uint32_t flushed[3];
    request_consume(request, &body);
    incoming_stream(body.value, &source);
    answer to = begin(outparam, 200);
    do stream_splice(to.stream, source.value, 65536, &moved);
    while (!moved.failed);
    stream_flush(to.stream, flushed);
    input_drop(source.value);
    incoming_drop(body.value);
    end(to);
}

static void headers(handle request, handle outparam) {
    header_list list;
    handle fields = request_headers(request);
    fields_entries(fields, &list);
    answer to = begin(outparam, 200);
    for (size_t i = 0; i < list.length; i++) {
        put(to, list.start[i].name.start, list.start[i].name.length);
        put(to, ": ", 2);
        put(to, list.start[i].value.start, list.start[i].value.length);
        put(to, "\n", 1);
    }
    fields_drop(fields);
    end(to);
}

static void file(const char *path, handle outparam) {
    static char buffer[65536];
    FILE *source = fopen(path, "r");
    if (!source) {
        snprintf(buffer, sizeof buffer, "%s: %s\n", path, strerror(errno));
        reply(outparam, 404, buffer);
        return;
    }
    answer to = begin(outparam, 200);
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, source)) > 0;)
        if (put(to, buffer, count)) break;
    fclose(source);
    end(to);
}

static void rest(long milliseconds, handle outparam) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
    reply(outparam, 200, "slept\n");
}

static void eat(long wanted, handle outparam) {
    char message[64];
    long taken = 0;
    for (char *block; taken < wanted && (block = malloc(1 << 20)); taken++) memset(block, 0x5a, 1 << 20);
    snprintf(message, sizeof message, "%s %ld MiB\n", taken < wanted ? "refused after" : "has", taken);
    reply(outparam, taken < wanted ? 507 : 200, message);
}

static void print(const char *line, handle outparam) {
    printf("%s\n", line);
    fflush(stdout);
    fprintf(stderr, "%s\n", line);
    reply(outparam, 200, "printed\n");
}

static void count(handle outparam) {
    static int seen;
    char message[16];
    snprintf(message, sizeof message, "%d\n", ++seen);
    reply(outparam, 200, message);
}

static void environment(const char *name, handle outparam) {
    const char *value = getenv(name);
    reply(outparam, value ? 200 : 404, value ? value : "not set\n");
}

static void spin(void) {
    for (volatile unsigned turns = 0;; turns++) {
    }
}

static void route(const char *path, const char *query, handle request, handle outparam) {
    if (!strcmp(path, "/")) reply(outparam, 200, "hello from a Wasm component\n");
    else if (!strcmp(path, "/echo")) echo(request, outparam);
    else if (!strcmp(path, "/headers")) headers(request, outparam);
    else if (!strcmp(path, "/count")) count(outparam);
    else if (!strcmp(path, "/sleep")) rest(atol(parameter(query, "ms")), outparam);
    else if (!strcmp(path, "/file")) file(parameter(query, "path"), outparam);
    else if (!strcmp(path, "/print")) print(parameter(query, "text"), outparam);
    else if (!strcmp(path, "/env")) environment(parameter(query, "name"), outparam);
    else if (!strcmp(path, "/eat")) eat(atol(parameter(query, "mib")), outparam);
    else if (!strcmp(path, "/spin")) spin();
    else if (!strcmp(path, "/trap")) __builtin_trap();
    else reply(outparam, 404, "no such route\n");
}

__attribute__((export_name("wasi:http/incoming-handler@0.2.12#handle"))) void handle_request(handle request,
                                                                                           handle outparam) {
    static char path[8192];
    optional_text target;
    request_path(request, &target);
    size_t length = target.present ? target.value.length : 0;
    if (length >= sizeof path) length = sizeof path - 1;
    memcpy(path, length ? target.value.start : path, length);
    path[length] = 0;
    char *query = strchr(path, '?');
    if (query) *query++ = 0;
    route(path, query, request, outparam);
    request_drop(request);
}
