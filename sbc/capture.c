/*
 * SIP messages as packets in pcap files
 *
 * Format: draft-ietf-opsawg-pcap, link type 101 (raw IP), one record a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "store/rotate.h"
#include "sbc/capture.h"

enum {
	FILE_BYTES = 100 * 1000 * 1000,
	FILES_KEPT = 25,
	RAW_IP = 101,
	UDP = 17,
	UDP_BYTES = 8,
	IP4_BYTES = 20,
	IP6_BYTES = 40,
	HOPS = 64,
	PATH_BYTES = 4096
};

struct capture {
	int fd;
	size_t size;
	bool all;
	struct sa only;
	char path[PATH_BYTES];
};

/* What stands in front of a message: record, IP, UDP */
struct front {
	uint8_t v[16 + IP6_BYTES + UDP_BYTES];
	size_t n;
};

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* pcap's own numbers are in the order of who writes them */
static void put_native(struct front *f, uint32_t v)
{
	memcpy(f->v + f->n, &v, sizeof(v));
	f->n += sizeof(v);
}

/* RFC 1071; an odd byte is the high one of a word */
static uint32_t sum(uint32_t before, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		before += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		before = (before & 0xffff) + (before >> 16);
	}
	return before;
}

static void ip4_put(struct front *f, const struct capture_message *m)
{
	uint8_t *p = f->v + f->n;

	memset(p, 0, IP4_BYTES);
	p[0] = 0x45;
	put16(p + 2, (uint32_t)(IP4_BYTES + UDP_BYTES + m->n));
	p[8] = HOPS;
	p[9] = UDP;
	memcpy(p + 12, &m->from->u.in.sin_addr, 4);
	memcpy(p + 16, &m->to->u.in.sin_addr, 4);
	put16(p + 10, ~sum(0, p, IP4_BYTES));
	f->n += IP4_BYTES;
}

static void ip6_put(struct front *f, const struct capture_message *m)
{
	uint8_t *p = f->v + f->n;

	memset(p, 0, IP6_BYTES);
	p[0] = 0x60;
	put16(p + 4, (uint32_t)(UDP_BYTES + m->n));
	p[6] = UDP;
	p[7] = HOPS;
	memcpy(p + 8, &m->from->u.in6.sin6_addr, 16);
	memcpy(p + 24, &m->to->u.in6.sin6_addr, 16);
	f->n += IP6_BYTES;
}

/* RFC 768, RFC 8200 8.1: over addresses, protocol, length, header and bytes */
static void udp_put(struct front *f, const struct capture_message *m,
		    size_t addresses)
{
	const uint32_t n = (uint32_t)(UDP_BYTES + m->n);
	uint8_t *p = f->v + f->n;
	uint32_t check;

	put16(p, sa_port(m->from));
	put16(p + 2, sa_port(m->to));
	put16(p + 4, n);
	put16(p + 6, 0);
	check = sum(UDP + n, p - addresses, addresses);
	check = sum(check, p, UDP_BYTES);
	check = sum(check, (const uint8_t *)m->p, m->n);
	put16(p + 6, check == 0xffff ? check : ~check & 0xffff);
	f->n += UDP_BYTES;
}

static int bytes_write(struct capture *c, const struct front *f, const char *p,
		       size_t n)
{
	struct iovec v[] = {
		{ .iov_base = (void *)(uintptr_t)f->v, .iov_len = f->n },
		{ .iov_base = (void *)(uintptr_t)p, .iov_len = n },
	};
	ssize_t done;

	do {
		done = writev(c->fd, v, n ? 2 : 1);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno;
	if ((size_t)done == f->n + n) {
		c->size += (size_t)done;
		return 0;
	}
	/* Half a record would hide all behind it */
	return ftruncate(c->fd, (off_t)c->size) ? errno : ENOSPC;
}

static int file_open(struct capture *c)
{
	struct front f = { .n = 0 };
	struct stat st;
	int err;

	if (c->fd >= 0)
		(void)close(c->fd); /* what could be written is */
	c->size = 0;
	c->fd = -1;
	err = rotate_open(&c->fd, c->path, O_TRUNC | O_NOFOLLOW, 0600, &st);
	if (err)
		return err;
	put_native(&f, 0xa1b2c3d4); /* microseconds */
	put_native(&f, 2 | 4 << 16);
	put_native(&f, 0);
	put_native(&f, 0);
	put_native(&f, 256 * 1024);
	put_native(&f, RAW_IP);
	return bytes_write(c, &f, NULL, 0);
}

static void destructor(void *arg)
{
	struct capture *c = arg;

	if (c->fd >= 0)
		(void)close(c->fd);
}

int capture_open(struct capture **cp, const char *path, const struct sa *only)
{
	struct capture *c = mem_zalloc(sizeof(*c), destructor);
	int err;

	if (!c)
		return ENOMEM;
	c->fd = -1;
	c->all = !only;
	if (only)
		c->only = *only;
	str_ncpy(c->path, path, sizeof(c->path));
	err = file_open(c);
	if (err)
		mem_deref(c);
	else
		*cp = c;
	return err;
}

void capture_close(struct capture *c)
{
	mem_deref(c);
}

static bool is_wanted(const struct capture *c, const struct capture_message *m)
{
	const int af = sa_af(m->from);

	/* a datagram has 16 bits of length */
	if (m->n + UDP_BYTES + IP4_BYTES > UINT16_MAX || af != sa_af(m->to) ||
	    (af != AF_INET && af != AF_INET6))
		return false;
	return c->all || sa_cmp(&c->only, m->from, SA_ADDR) ||
	       sa_cmp(&c->only, m->to, SA_ADDR);
}

int capture_write(struct capture *c, const struct capture_message *m)
{
	const bool v6 = sa_af(m->from) == AF_INET6;
	const size_t ip = v6 ? IP6_BYTES : IP4_BYTES;
	const uint32_t n = (uint32_t)(ip + UDP_BYTES + m->n);
	struct front f = { .n = 0 };
	int err = 0;

	if (!is_wanted(c, m))
		return 0;
	if (c->fd >= 0 && c->size >= FILE_BYTES)
		rotate(c->path, FILES_KEPT);
	if (c->fd < 0 || c->size >= FILE_BYTES)
		err = file_open(c);
	if (err)
		return err;
	put_native(&f, (uint32_t)(m->wall / 1000));
	put_native(&f, (uint32_t)(m->wall % 1000) * 1000);
	put_native(&f, n);
	put_native(&f, n);
	if (v6)
		ip6_put(&f, m);
	else
		ip4_put(&f, m);
	udp_put(&f, m, v6 ? 32 : 8);
	return bytes_write(c, &f, m->p, m->n);
}
