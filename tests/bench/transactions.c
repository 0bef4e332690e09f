/*
 * Bench: bare transactions through real UDP sockets on loopback
 *
 * One thread is client and server: each transaction is opened on both sides, so
 * a figure here is that of two transactions. INVITE is INVITE, 486, ACK: three
 * messages sent and received; OPTIONS is OPTIONS, 200. The floor is a bare
 * recvmmsg and sendmmsg loop that moves datagrams of the same size in batches
 * of the same size, and does nothing with them.
 *
 * Usage: transactions [thousands] [in parallel]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "store/base.h"
#include <re_main.h>
#include "sbc/clock.h"
#include "sbc/names.h"
#include "sbc/timer.h"
#include "sbc/transaction.h"
#include "sbc/turn.h"
#include "sbc/wire.h"

enum {
	BATCH = 64,
	SIZE = 480
};

struct bench {
	struct port *client, *server;
	struct transactions *clients, *servers;
	enum method_id method;
	uint32_t left, under_way, failed, stray;
	uint32_t cseq;
};

static void begin(struct bench *b);

static void client_event(struct transaction *t, enum transaction_event ev,
			 const struct message *msg, void *arg)
{
	struct bench *b = arg;

	if (ev == PROVISIONAL)
		return;
	if (ev != FINAL)
		++b->failed;

	transaction_forget(t);
	--b->under_way;
	if (b->left)
		begin(b);
	else if (!b->under_way)
		re_cancel();
	(void)msg;
}

static void begin(struct bench *b)
{
	char branch[BRANCH_SIZE], tag[TAG_SIZE], callid[CALLID_SIZE];
	char from[64];
	struct wire_request r = { .method = b->method,
				  .ruri = PL("sip:0301234567@127.0.0.1"),
				  .port = b->client,
				  .branch = branch,
				  .to = PL("<sip:0301234567@127.0.0.1>"),
				  .cseq = ++b->cseq,
				  .max_forwards = 70,
				  .contact = PL("sip:user@127.0.0.1"),
				  .extra = PL("User-Agent: bench\r\n"
					      "Supported: timer, 100rel\r\n") };
	struct request_setup setup = { .port = b->client,
				       .branch = branch,
				       .method = b->method };
	struct transaction *t;

	names_branch(branch, 1);
	names_tag(tag, 1);
	names_callid(callid, 1);
	memcpy(from, "<sip:alice@127.0.0.1>;tag=", 26);
	memcpy(from + 26, tag, TAG_SIZE);
	pl_set_str(&r.from, from);
	pl_set_str(&r.callid, callid);
	setup.to.dst = *port_local(b->server);
	setup.to.transport = TRANSPORT_UDP;

	--b->left;
	if (wire_request(&setup.mb, &r))
		abort();
	if (transaction_send(&t, b->clients, &setup, client_event, b))
		abort();
	mem_deref(setup.mb);
	++b->under_way;
}

static void at_client(const struct arrival *from, struct mbuf *mb, void *arg)
{
	struct bench *b = arg;
	struct scan_result result;
	struct message *msg;

	if (message_scan(&msg, mb, &result))
		abort();
	if (transactions_take(b->clients, from, msg) != MATCHED)
		++b->stray;
	mem_deref(msg);
}

static void server_event(struct transaction *t, enum transaction_event ev,
			 const struct message *msg, void *arg)
{
	(void)t;
	(void)ev;
	(void)msg;
	(void)arg;
}

static void at_server(const struct arrival *from, struct mbuf *mb, void *arg)
{
	struct bench *b = arg;
	struct wire_response r = { .from = from, .to_tag = "servertag" };
	struct scan_result result;
	struct transaction *t;
	struct message *msg;
	struct mbuf *reply;

	if (transactions_match(b->servers, from, mb))
		return;
	if (message_scan(&msg, mb, &result))
		abort();
	if (transactions_take(b->servers, from, msg) == NEW_REQUEST) {
		r.request = msg;
		r.code = msg->method_id == INVITE ? 486 : 200;
		if (transaction_open(&t, b->servers, from, msg, server_event,
				     b) ||
		    wire_response(&reply, &r) ||
		    transaction_reply(t, r.code, reply))
			abort();
		mem_deref(reply);
		transaction_forget(t);
	}
	mem_deref(msg);
}

static struct port *open_port(arrival_h *h, struct bench *b)
{
	struct endpoint e = { .transport = TRANSPORT_UDP };
	const struct port_setup setup = { .endpoint = &e,
					  .message_max = 65535 };
	struct port *port;

	if (sa_set_str(&e.local, "127.0.0.1", 0) ||
	    port_open(&port, &setup, h, b))
		abort();

	return port;
}

static void run(const char *name, enum method_id method, uint32_t n,
		uint32_t parallel)
{
	static const struct transactions_setup times = { .t1 = 500,
							 .t2 = 4000,
							 .expire = 32000 };
	struct bench b = { .method = method, .left = n };
	uint32_t alive, remainders, i;
	uint64_t cpu, wall;

	if (transactions_open(&b.clients, &times) ||
	    transactions_open(&b.servers, &times))
		abort();
	b.client = open_port(at_client, &b);
	b.server = open_port(at_server, &b);

	cpu = clock_cpu_us();
	wall = clock_us();
	turn_enter();
	for (i = 0; i < parallel && b.left; ++i)
		begin(&b);
	turn_leave();
	(void)re_main(NULL);
	cpu = clock_cpu_us() - cpu;
	wall = clock_us() - wall;

	transactions_count(b.servers, &alive, &remainders);
	printf("%-22s %8.2f ms CPU per 1000 (client and server), "
	       "%8.0f/s, failed %u, stray %u, remainders %u\n",
	       name, (double)cpu / n, 1e6 * n / (double)wall, b.failed, b.stray,
	       remainders);
	transactions_close(b.clients);
	transactions_close(b.servers);
	port_close(b.client);
	port_close(b.server);
}

static int bare_socket(struct sa *sa)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;

	if (fd < 0 || sa_set_str(sa, "127.0.0.1", 0) ||
	    bind(fd, &sa->u.sa, sa->len))
		abort();
	sa->len = sizeof(sa->u);
	if (getsockname(fd, &sa->u.sa, &sa->len))
		abort();
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

	return fd;
}

/* n datagrams of SIZE bytes from one socket to another, in batches */
static void run_floor(uint32_t n, uint32_t batch)
{
	static uint8_t out[SIZE], in[BATCH][2048];
	struct mmsghdr to[BATCH], from[BATCH];
	struct iovec iov_to = { out, SIZE }, iov_from[BATCH];
	struct sa a, b, src[BATCH];
	int fa = bare_socket(&a), fb = bare_socket(&b);
	uint64_t cpu;
	uint32_t i, done, per_turn = batch < BATCH ? batch : BATCH;

	memset(to, 0, sizeof(to));
	memset(from, 0, sizeof(from));
	for (i = 0; i < BATCH; ++i) {
		to[i].msg_hdr.msg_name = &b.u;
		to[i].msg_hdr.msg_namelen = b.len;
		to[i].msg_hdr.msg_iov = &iov_to;
		to[i].msg_hdr.msg_iovlen = 1;
		iov_from[i].iov_base = in[i];
		iov_from[i].iov_len = sizeof(in[i]);
		from[i].msg_hdr.msg_name = &src[i].u;
		from[i].msg_hdr.msg_iov = &iov_from[i];
		from[i].msg_hdr.msg_iovlen = 1;
	}

	cpu = clock_cpu_us();
	for (done = 0; done < n; done += per_turn) {
		for (i = 0; i < per_turn; ++i)
			from[i].msg_hdr.msg_namelen = sizeof(src[i].u);
		if (sendmmsg(fa, to, per_turn, 0) != (int)per_turn ||
		    recvmmsg(fb, from, per_turn, MSG_DONTWAIT, NULL) !=
			    (int)per_turn)
			abort();
	}
	cpu = clock_cpu_us() - cpu;
	printf("%-22s %8.2f ms CPU per 1000 datagrams sent and received, "
	       "batches of %u\n",
	       "floor", (double)cpu / n, per_turn);
	close(fa);
	close(fb);
}

int main(int argc, char **argv)
{
	uint32_t n = 1000 * (argc > 1 ? (uint32_t)atoi(argv[1]) : 100);
	uint32_t parallel = argc > 2 ? (uint32_t)atoi(argv[2]) : 64;

	if (!n || !parallel || libre_init() || fd_setsize(1024) || wheel_open())
		return 1;

	run_floor(n, parallel);
	run("INVITE-486-ACK", INVITE, n, parallel);
	run("OPTIONS-200", OPTIONS, n, parallel);
	wheel_close();
	libre_close();

	return 0;
}
