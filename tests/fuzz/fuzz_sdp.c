/*
 * Any bytes as SDP: read, rewrite, and read what was written
 *
 * The other side must see as many streams, at our address and ports only.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "policy/sdp.h"
#include "policy/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void setup(struct sdp_rewrite *rw)
{
	unsigned i;

	memset(rw, 0, sizeof(*rw));
	rw->session_id = 4711;
	rw->version = 1;
	(void)sa_set_str(&rw->addr, "192.0.2.1", 0);
	for (i = 0; i < SDP_STREAMS; ++i) {
		rw->rtp[i] = (uint16_t)(20000 + 2 * i);
		rw->rtcp[i] = (uint16_t)(20001 + 2 * i);
		rw->strip_mux[i] = i & 1;
	}
}

static void rewrite(const struct sdp *sdp, const struct pl *text)
{
	struct sdp_rewrite rw;
	struct sdp copy;
	struct mbuf *mb = mbuf_alloc(64);
	struct pl out;
	uint32_t i;
	int err;

	setup(&rw);
	err = sdp_write(mb, text, sdp, &rw);
	assert(!err);
	out.p = (const char *)mb->buf;
	out.l = mb->end;
	err = sdp_read(&copy, &out);
	assert(!err);
	assert(copy.n == sdp->n);
	for (i = 0; i < copy.n; ++i) {
		assert(copy.streams[i].relayed == sdp->streams[i].relayed);
		if (!copy.streams[i].relayed)
			continue;
		assert(sa_port(&copy.streams[i].rtp) == rw.rtp[i]);
		assert(sa_cmp(&copy.streams[i].rtp, &rw.addr, SA_ADDR));
		/* UDPTL has none */
		if (sa_af(&copy.streams[i].rtcp) != AF_UNSPEC)
			assert(sa_cmp(&copy.streams[i].rtcp, &rw.addr,
				      SA_ADDR));
	}
	mem_deref(mb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *mem = malloc(size ? size : 1);
	const struct pl text = { mem, size };
	struct sdp sdp;
	struct pl type, part;
	const char *nl;

	if (!mem)
		abort();
	if (size)
		memcpy(mem, data, size);

	if (!sdp_read(&sdp, &text))
		rewrite(&sdp, &text);

	/* The first line as Content-Type, the rest as body */
	nl = memchr(mem, '\n', size);
	if (nl) {
		const struct pl body = { nl + 1,
					 size - (size_t)(nl + 1 - mem) };

		type.p = mem;
		type.l = (size_t)(nl - mem);
		if (!body_find_sdp(&type, &body, &part))
			assert(part.p >= body.p &&
			       part.p + part.l <= body.p + body.l);
	}
	free(mem);
	return 0;
}
