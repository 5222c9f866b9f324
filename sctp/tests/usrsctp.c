/* The other end of the interoperability test: usrsctp, its packets over standard input and output,
 * each behind its length in two octets.
 *
 *   usrsctp listen|connect plain|interleave
 *
 * It echoes messages; those with PPID 99 are commands instead:
 *   bulk N SIZE    N messages of SIZE octets on the streams 0 to 3 in turn
 *   some N SIZE    N messages of SIZE octets on stream 5 that are not sent twice, then "end"
 *   reset S        resets its outgoing stream S
 *   anew           resets all streams and the TSNs
 *   close          shuts the association down
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

#define STREAMS 400
#define LARGEST (1 << 20)
#define ROOM (16 << 20)
#define COMMAND 99
/* Not in the public header, but in the library (FreeBSD's netinet/sctp.h). */
#define INTERLEAVING_SUPPORTED 0x00001206

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static struct socket *association;
static unsigned char *partial[STREAMS];
static size_t partial_len[STREAMS];

static void write_all(const unsigned char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);
        if (n <= 0)
            _exit(0);
        data += n;
        len -= (size_t)n;
    }
}

static int read_all(unsigned char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = read(STDIN_FILENO, data, len);
        if (n <= 0)
            return 0;
        data += n;
        len -= (size_t)n;
    }
    return 1;
}

static int packet_out(void *address, void *data, size_t len, uint8_t tos, uint8_t set_df)
{
    unsigned char head[2] = {(unsigned char)(len >> 8), (unsigned char)len};
    (void)address;
    (void)tos;
    (void)set_df;
    pthread_mutex_lock(&output);
    write_all(head, 2);
    write_all(data, len);
    pthread_mutex_unlock(&output);
    return 0;
}

/* What is to be done, in order, by a thread that may wait for room. */
enum what { SEND, RESET, ANEW, CLOSE };
struct job {
    struct job *next;
    enum what what;
    uint16_t stream;
    uint32_t ppid;
    int unordered, once;
    size_t len;
    unsigned char data[];
};
static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t jobs_there = PTHREAD_COND_INITIALIZER;
static struct job *jobs, **jobs_end = &jobs;

static void add(enum what what, uint16_t stream, uint32_t ppid, const void *data, size_t len,
                int unordered, int once)
{
    struct job *job = malloc(sizeof *job + len);
    job->next = NULL;
    job->what = what;
    job->stream = stream;
    job->ppid = ppid;
    job->unordered = unordered;
    job->once = once;
    job->len = len;
    if (len > 0)
        memcpy(job->data, data, len);
    pthread_mutex_lock(&jobs_lock);
    *jobs_end = job;
    jobs_end = &job->next;
    pthread_cond_signal(&jobs_there);
    pthread_mutex_unlock(&jobs_lock);
}

static void say(uint16_t stream, uint32_t ppid, const void *data, size_t len, int unordered,
                int once)
{
    add(SEND, stream, ppid, data, len, unordered, once);
}

static void send_now(struct socket *socket, const struct job *job)
{
    struct sctp_sendv_spa spa;
    memset(&spa, 0, sizeof spa);
    spa.sendv_flags = SCTP_SEND_SNDINFO_VALID;
    spa.sendv_sndinfo.snd_sid = job->stream;
    spa.sendv_sndinfo.snd_ppid = htonl(job->ppid);
    spa.sendv_sndinfo.snd_flags = SCTP_EOR | (job->unordered ? SCTP_UNORDERED : 0);
    if (job->once) {
        spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
        spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_RTX;
        spa.sendv_prinfo.pr_value = 0;
    }
    /* A full buffer, or a stream whose reset is under way. */
    while (usrsctp_sendv(socket, job->data, job->len, NULL, 0, &spa, sizeof spa, SCTP_SENDV_SPA,
                         0) < 0) {
        if (errno != EAGAIN) {
            perror("usrsctp_sendv");
            return;
        }
        usleep(1000);
    }
}

static void reset_streams(struct socket *socket, const void *streams, size_t len)
{
    static union {
        struct sctp_reset_streams request;
        unsigned char room[sizeof(struct sctp_reset_streams) + STREAMS * sizeof(uint16_t)];
    } reset;
    memset(&reset, 0, sizeof reset);
    reset.request.srs_flags = SCTP_STREAM_RESET_OUTGOING;
    reset.request.srs_number_streams = (uint16_t)(len / sizeof(uint16_t));
    memcpy(reset.request.srs_stream_list, streams, len);
    /* One request at a time. */
    while (usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_RESET_STREAMS, &reset,
                              (socklen_t)(sizeof reset.request + len)) < 0) {
        if (errno != EALREADY && errno != EBUSY && errno != EAGAIN) {
            perror("SCTP_RESET_STREAMS");
            return;
        }
        usleep(1000);
    }
}

static void *work(void *unused)
{
    (void)unused;
    for (;;) {
        struct job *job;
        pthread_mutex_lock(&jobs_lock);
        while (jobs == NULL)
            pthread_cond_wait(&jobs_there, &jobs_lock);
        job = jobs;
        jobs = job->next;
        if (jobs == NULL)
            jobs_end = &jobs;
        pthread_mutex_unlock(&jobs_lock);
        if (job->what == SEND) {
            send_now(association, job);
        } else if (job->what == RESET) {
            reset_streams(association, job->data, job->len);
        } else if (job->what == ANEW) {
            sctp_assoc_t id = 0;
            if (usrsctp_setsockopt(association, IPPROTO_SCTP, SCTP_RESET_ASSOC, &id, sizeof id) < 0)
                perror("SCTP_RESET_ASSOC");
        } else {
            usrsctp_shutdown(association, SHUT_WR);
        }
        free(job);
    }
    return NULL;
}

static void command(const char *text)
{
    static unsigned char message[LARGEST];
    unsigned count, size, i;
    if (sscanf(text, "bulk %u %u", &count, &size) == 2 && size <= LARGEST) {
        for (i = 0; i < count; i++) {
            memset(message, (int)(i & 0xff), size);
            say((uint16_t)(i % 4), 53, message, size, 0, 0);
        }
    } else if (sscanf(text, "some %u %u", &count, &size) == 2 && size <= LARGEST) {
        for (i = 0; i < count; i++) {
            memset(message, (int)(i & 0xff), size);
            say(5, 53, message, size, 0, 1);
        }
        say(5, 51, "end", 3, 0, 0);
    } else if (sscanf(text, "reset %u", &count) == 1) {
        uint16_t stream = (uint16_t)count;
        add(RESET, 0, 0, &stream, sizeof stream, 0, 0);
    } else if (strcmp(text, "anew") == 0) {
        add(ANEW, 0, 0, NULL, 0, 0, 0);
    } else if (strcmp(text, "close") == 0) {
        add(CLOSE, 0, 0, NULL, 0, 0, 0);
    } else {
        fprintf(stderr, "unknown command: %s\n", text);
    }
}

static void notified(const union sctp_notification *news)
{
    if (news->sn_header.sn_type == SCTP_STREAM_RESET_EVENT &&
        news->sn_strreset_event.strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) {
        /* As a data channel does it: the other direction too. */
        const struct sctp_stream_reset_event *event = &news->sn_strreset_event;
        size_t len = event->strreset_length - sizeof *event;
        if (len <= STREAMS * sizeof(uint16_t))
            add(RESET, 0, 0, event->strreset_stream_list, len, 0, 0);
    }
}

static int received(struct socket *socket, union sctp_sockstore from, void *data, size_t len,
                    struct sctp_rcvinfo info, int flags, void *context)
{
    uint16_t stream = info.rcv_sid;
    (void)socket;
    (void)from;
    (void)context;
    if (data == NULL)
        return 1;
    if (flags & MSG_NOTIFICATION) {
        notified(data);
    } else if (stream < STREAMS) {
        partial[stream] = realloc(partial[stream], partial_len[stream] + len + 1);
        memcpy(partial[stream] + partial_len[stream], data, len);
        partial_len[stream] += len;
        if (flags & MSG_EOR) {
            partial[stream][partial_len[stream]] = 0;
            if (ntohl(info.rcv_ppid) == COMMAND)
                command((const char *)partial[stream]);
            else
                say(stream, ntohl(info.rcv_ppid), partial[stream], partial_len[stream],
                    info.rcv_flags & SCTP_UNORDERED, 0);
            partial_len[stream] = 0;
        }
    }
    free(data);
    return 1;
}

static void configure(struct socket *socket, int interleave)
{
    const uint16_t events[] = {SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT};
    struct sctp_assoc_value value;
    struct sctp_initmsg streams;
    struct sctp_event event;
    size_t i;
    int on = 1;
    memset(&value, 0, sizeof value);
    value.assoc_id = SCTP_ALL_ASSOC;
    value.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_RESET_ASSOC_REQ |
                        SCTP_ENABLE_CHANGE_ASSOC_REQ;
    usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &value, sizeof value);
    usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof on);
    memset(&streams, 0, sizeof streams);
    streams.sinit_num_ostreams = STREAMS;
    streams.sinit_max_instreams = STREAMS;
    usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams);
    for (i = 0; i < sizeof events / sizeof events[0]; i++) {
        memset(&event, 0, sizeof event);
        event.se_assoc_id = SCTP_ALL_ASSOC;
        event.se_type = events[i];
        event.se_on = 1;
        usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof event);
    }
    if (interleave) {
        int level = 2;
        usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_FRAGMENT_INTERLEAVE, &level, sizeof level);
        value.assoc_id = SCTP_FUTURE_ASSOC;
        value.assoc_value = 1;
        if (usrsctp_setsockopt(socket, IPPROTO_SCTP, INTERLEAVING_SUPPORTED, &value,
                               sizeof value) < 0)
            perror("interleaving");
    }
}

static void *accepting(void *listener)
{
    association = usrsctp_accept(listener, NULL, NULL);
    return work(NULL);
}

int main(int argc, char **argv)
{
    static unsigned char packet[65536];
    static char address;
    struct sockaddr_conn name;
    struct socket *socket;
    pthread_t thread;
    int listens = argc > 1 && strcmp(argv[1], "listen") == 0;

    usrsctp_init(0, packet_out, NULL);
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_sendspace(ROOM);
    usrsctp_sysctl_set_sctp_recvspace(ROOM);
    usrsctp_register_address(&address);
    socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, received, NULL, 0, NULL);
    if (socket == NULL)
        return 1;
    configure(socket, argc > 2 && strcmp(argv[2], "interleave") == 0);
    memset(&name, 0, sizeof name);
    name.sconn_family = AF_CONN;
    name.sconn_port = htons(5000);
    name.sconn_addr = &address;
    if (usrsctp_bind(socket, (struct sockaddr *)&name, sizeof name) < 0)
        return 1;
    if (listens) {
        if (usrsctp_listen(socket, 1) < 0)
            return 1;
        pthread_create(&thread, NULL, accepting, socket);
    } else {
        association = socket;
        usrsctp_set_non_blocking(socket, 1);
        usrsctp_connect(socket, (struct sockaddr *)&name, sizeof name);
        usrsctp_set_non_blocking(socket, 0);
        pthread_create(&thread, NULL, work, NULL);
    }
    for (;;) {
        unsigned char head[2];
        size_t len;
        if (!read_all(head, 2))
            break;
        len = (size_t)head[0] << 8 | head[1];
        if (!read_all(packet, len))
            break;
        usrsctp_conninput(&address, packet, len, 0);
    }
    _exit(0);
}
