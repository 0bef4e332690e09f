/*
 * CPU of the media thread per 1,000 packets, beside the bare loop
 *
 * 1,000 streams of 50 packets a second and 172 bytes go through a real media
 * thread on loopback. The floor is a loop that does nothing but epoll_wait,
 * recvmmsg, sendmmsg on the same connected sockets, in turns of the same length.
 * Sender and receiver are processes of their own, so that only the thread in
 * question is counted (schedstat). Usage: rtp [seconds] [runs]
 */
#include <errno.h>
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "policy/sdp.h"
#include "sbc/clock.h"
#include "sbc/forward.h"

enum {
	STREAMS = 1000,
	SIZE = 172,
	PTIME = 20,     /* [ms] */
	SLICES = 10,    /* of PTIME: one every 2 ms */
	SEVERAL = 4,    /* datagrams of one call of the floor */
	TURN = 2000000, /* [ns] */
	RUNS_MAX = 16
};

struct bench {
	int in[STREAMS], out[STREAMS], rtcp[2 * STREAMS];
	struct sa in_at[STREAMS], out_at[STREAMS];
	int sender, receiver;
	struct sa sender_at, receiver_at;
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int bound(const char *addr, struct sa *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(!sa_set_str(at, addr, 0), "address");
	must(!bind(fd, &at->u.sa, at->len), "bind");
	at->len = sizeof(at->u);
	must(!getsockname(fd, &at->u.sa, &at->len), "getsockname");

	return fd;
}

static void sockets_open(struct bench *b)
{
	struct sa unused;
	int i, size = 8 << 20;

	b->sender = bound("127.0.0.50", &b->sender_at);
	b->receiver = bound("127.0.0.51", &b->receiver_at);
	(void)setsockopt(b->receiver, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			 sizeof(size));
	for (i = 0; i < STREAMS; i++) {
		b->in[i] = bound("127.0.0.52", &b->in_at[i]);
		b->out[i] = bound("127.0.0.53", &b->out_at[i]);
		b->rtcp[2 * i] = bound("127.0.0.52", &unused);
		b->rtcp[2 * i + 1] = bound("127.0.0.53", &unused);
	}
}

static void sockets_close(struct bench *b, bool handed_over)
{
	int i;

	close(b->sender);
	close(b->receiver);
	for (i = 0; i < STREAMS && !handed_over; i++) {
		close(b->in[i]);
		close(b->out[i]);
		close(b->rtcp[2 * i]);
		close(b->rtcp[2 * i + 1]);
	}
}

/* --- the two processes around it ----------------------------------------- */

static void send_all(const struct bench *b, unsigned seconds)
{
	static uint8_t packet[SIZE] = { 0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint64_t begin = clock_us();
	uint32_t i, n, slices = seconds * 1000 / PTIME * SLICES;

	for (n = 0; n < slices; n++) {
		uint64_t due = begin + (uint64_t)n * PTIME * 1000 / SLICES;
		uint64_t now = clock_us();
		uint32_t seq = n / SLICES;

		if (due > now)
			usleep((useconds_t)(due - now));
		packet[2] = (uint8_t)(seq >> 8);
		packet[3] = (uint8_t)seq;
		for (i = n % SLICES; i < STREAMS; i += SLICES)
			(void)sendto(b->sender, packet, SIZE, 0,
				     &b->in_at[i].u.sa, b->in_at[i].len);
	}
}

/* Until nothing comes for half a second; how many came, by a pipe */
static void receive_all(const struct bench *b, int result)
{
	static uint8_t room[64][SIZE];
	static struct mmsghdr msg[64];
	static struct iovec iov[64];
	struct pollfd p = { .fd = b->receiver, .events = POLLIN };
	uint32_t got = 0;
	int i, n;

	for (i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ room[i], SIZE };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	while (poll(&p, 1, got ? 500 : 5000) == 1) {
		n = recvmmsg(b->receiver, msg, 64, MSG_DONTWAIT, NULL);
		got += n > 0 ? (uint32_t)n : 0;
		usleep(500);
	}
	must(write(result, &got, sizeof(got)) == sizeof(got), "write");
}

static uint32_t traffic(const struct bench *b, unsigned seconds)
{
	uint32_t got = 0;
	int result[2];
	pid_t receiver, sender;

	must(!pipe(result), "pipe");
	receiver = fork();
	if (!receiver) {
		receive_all(b, result[1]);
		_exit(0);
	}
	sender = fork();
	if (!sender) {
		send_all(b, seconds);
		_exit(0);
	}
	must(receiver > 0 && sender > 0, "fork");
	must(read(result[0], &got, sizeof(got)) == sizeof(got), "read");
	(void)waitpid(sender, NULL, 0);
	(void)waitpid(receiver, NULL, 0);
	close(result[0]);
	close(result[1]);

	return got;
}

/* --- CPU of a thread of ours, by its name -------------------------------- */

static bool is_thread(const char *tid, const char *name)
{
	char path[300], comm[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	fclose(f);

	return !strncmp(comm, name, strlen(name));
}

static uint64_t cpu_of(const char *name)
{
	DIR *d = opendir("/proc/self/task");
	uint64_t ns = 0;
	struct dirent *e;
	char path[300];
	FILE *f;

	must(d != NULL, "/proc/self/task");
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || !is_thread(e->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat",
			 e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		must(fscanf(f, "%" SCNu64, &ns) == 1, path);
		fclose(f);
	}
	closedir(d);

	return ns;
}

/* --- the floor ----------------------------------------------------------- */

static atomic_bool floor_stop;

static void floor_pass(int in, int out)
{
	static uint8_t room[SEVERAL][SIZE];
	static struct mmsghdr msg[SEVERAL];
	static struct iovec iov[SEVERAL];
	int i, n;

	for (i = 0; i < SEVERAL; i++) {
		iov[i] = (struct iovec){ room[i], SIZE };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(in, msg, SEVERAL, MSG_DONTWAIT, NULL);
	if (n > 0)
		(void)sendmmsg(out, msg, (unsigned)n, MSG_DONTWAIT);
}

static void *floor_run(void *arg)
{
	static struct epoll_event event[256];
	const struct bench *b = arg;
	struct timespec rest = { 0, TURN };
	int epoll = epoll_create1(0), i, n;

	for (i = 0; i < STREAMS; i++) {
		struct epoll_event ev = { .events = EPOLLIN,
					  .data.u32 = (uint32_t)i };

		must(!epoll_ctl(epoll, EPOLL_CTL_ADD, b->in[i], &ev), "epoll");
	}
	while (!atomic_load(&floor_stop)) {
		n = epoll_wait(epoll, event, 256, 100);
		for (i = 0; i < n; i++)
			floor_pass(b->in[event[i].data.u32],
				   b->out[event[i].data.u32]);
		(void)ppoll(NULL, 0, &rest, NULL);
	}
	close(epoll);

	return NULL;
}

static double measure_floor(unsigned seconds, uint32_t *got)
{
	static struct bench b;
	pthread_t thread;
	uint64_t ns;
	int i;

	sockets_open(&b);
	for (i = 0; i < STREAMS; i++) {
		must(!connect(b.in[i], &b.sender_at.u.sa, b.sender_at.len),
		     "connect");
		must(!connect(b.out[i], &b.receiver_at.u.sa, b.receiver_at.len),
		     "connect");
	}
	atomic_store(&floor_stop, false);
	must(!pthread_create(&thread, NULL, floor_run, &b), "thread");
	(void)pthread_setname_np(thread, "floor");

	ns = cpu_of("floor");
	*got = traffic(&b, seconds);
	ns = cpu_of("floor") - ns;

	atomic_store(&floor_stop, true);
	pthread_join(thread, NULL);
	sockets_close(&b, false);

	return (double)ns / 1e6 / *got * 1000;
}

/* --- the media thread ---------------------------------------------------- */

static void flows_open(struct bench *b, struct forward *f)
{
	struct flow_setup s = { .direction = SDP_SENDRECV,
				.mask = 32,
				.first_wait = 300000,
				.later_wait = 300000 };
	uint32_t in, out;
	int i;

	for (i = 0; i < STREAMS; i++) {
		s.fd[0] = b->out[i];
		s.fd[1] = b->rtcp[2 * i + 1];
		s.remote[0] = b->receiver_at;
		s.partner = 0;
		s.latch = LATCH_NONE;
		must(!flow_open(&out, f, &s, NULL, NULL), "flow_open");
		s.fd[0] = b->in[i];
		s.fd[1] = b->rtcp[2 * i];
		s.remote[0] = b->sender_at;
		s.partner = out;
		s.latch = LATCH_ANY; /* the first packet connects it */
		must(!flow_open(&in, f, &s, NULL, NULL), "flow_open");
	}
}

static double measure_forward(unsigned seconds, uint32_t *got)
{
	static struct bench b;
	struct forward_setup setup = { .flows_max = 2 * STREAMS };
	struct forward *f;
	uint64_t ns;

	/* first: without a loop of its own libre knows 1024 descriptors */
	must(!mailbox_open(&setup.news, NULL), "mailbox");
	sockets_open(&b);
	must(!forward_open(&f, &setup), "forward");
	flows_open(&b, f);

	ns = cpu_of("media");
	*got = traffic(&b, seconds);
	ns = cpu_of("media") - ns;

	forward_close(f);
	mailbox_close(setup.news);
	sockets_close(&b, true);

	return (double)ns / 1e6 / *got * 1000;
}

/* --- the table ----------------------------------------------------------- */

static int smaller(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *name, double *ms, unsigned runs, uint32_t lost,
		  const char *target)
{
	qsort(ms, runs, sizeof(*ms), smaller);
	printf("%-14s %6.2f ms CPU per 1000 packets (%.2f-%.2f), %u lost, "
	       "target %s\n",
	       name, ms[runs / 2], ms[0], ms[runs - 1], lost, target);
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 3, i;
	double bare[RUNS_MAX], ours[RUNS_MAX];
	uint32_t sent, got, bare_lost = 0, ours_lost = 0;
	struct rlimit limit;

	if (!seconds || !runs || runs > RUNS_MAX) {
		fprintf(stderr, "usage: rtp [seconds] [runs, up to %d]\n",
			RUNS_MAX);
		return 2;
	}
	must(!getrlimit(RLIMIT_NOFILE, &limit), "limit");
	limit.rlim_cur = limit.rlim_max;
	must(!setrlimit(RLIMIT_NOFILE, &limit), "limit");

	sent = seconds * 1000 / PTIME * STREAMS;
	for (i = 0; i < runs; i++) {
		bare[i] = measure_floor(seconds, &got);
		bare_lost += sent - got;
		ours[i] = measure_forward(seconds, &got);
		ours_lost += sent - got;
	}

	printf("%d streams, %d bytes, %u packets a run, %u runs: median "
	       "(range)\n",
	       STREAMS, SIZE, sent, runs);
	print("bare loop", bare, runs, bare_lost, "-");
	print("media thread", ours, runs, ours_lost, "5.0");

	return 0;
}
