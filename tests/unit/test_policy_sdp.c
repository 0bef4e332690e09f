/*
 * SDP: what is read, and that nothing of the other side goes on
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "policy/sdp.h"

#define O    "o=alice 77 8 IN IP4 10.0.0.1\r\n"
#define OWN  "o=- 4711 2 IN IP4 192.0.2.9\r\n"
#define C    "c=IN IP4 10.0.0.1\r\n"
#define OUR  "c=IN IP4 192.0.2.9\r\n"
#define HEAD "v=0\r\n" O "s=x\r\n" C "t=0 0\r\n"
#define OURS "v=0\r\n" OWN "s=x\r\n" OUR "t=0 0\r\n"

static struct pl pl(const char *s)
{
	struct pl p = { s, strlen(s) };

	return p;
}

static void assert_sa(const struct sa *sa, const char *addr, uint16_t port)
{
	char buf[64];

	assert_int_equal(sa_ntop(sa, buf, sizeof(buf)), 0);
	assert_string_equal(buf, addr);
	assert_int_equal(sa_port(sa), port);
}

static void rewrite_init(struct sdp_rewrite *rw)
{
	unsigned i;

	memset(rw, 0, sizeof(*rw));
	rw->session_id = 4711;
	rw->version = 2;
	(void)sa_set_str(&rw->addr, "192.0.2.9", 0);
	for (i = 0; i < SDP_STREAMS; ++i) {
		rw->rtp[i] = (uint16_t)(20000 + 2 * i);
		rw->rtcp[i] = (uint16_t)(20001 + 2 * i);
	}
}

static void assert_written(const struct sdp_rewrite *rw, const char *in,
			   const char *out)
{
	struct mbuf *mb = mbuf_alloc(16);
	struct pl text = pl(in);
	struct sdp sdp;
	int err = sdp_read(&sdp, &text);

	if (!err)
		err = sdp_write(mb, &text, &sdp, rw);

	if (err || mb->end != strlen(out) || memcmp(mb->buf, out, mb->end))
		fail_msg("%d:\n%s\nbecame\n%.*s\nand not\n%s", err, in,
			 (int)mb->end, (char *)mb->buf, out);
	mem_deref(mb);
}

static void streams_are_read_in_order(void **state)
{
	struct pl text =
		pl(HEAD "a=recvonly\r\nm=audio 4000/2 RTP/AVP 101 0\r\n"
			"a=rtpmap:101 opus/48000/2\r\na=sendonly\r\n"
			"m=video 5000 RTP/SAVP 31\r\nc=IN IP4 10.0.0.2/127\r\n"
			"a=rtcp:5009 IN IP4 10.0.0.3\r\na=rtcp-mux\r\n"
			"m=image 6000 udptl t38\r\n"
			"m=audio 0 RTP/AVP 8\r\n"
			"m=message 7394 TCP/MSRP *\r\n");
	struct sdp sdp;

	assert_int_equal(sdp_read(&sdp, &text), 0);
	assert_int_equal(sdp.n, 5);
	assert_sa(&sdp.streams[0].rtp, "10.0.0.1", 4000);
	assert_sa(&sdp.streams[0].rtcp, "10.0.0.1", 4001);
	assert_int_equal(sdp.streams[0].direction, SDP_SENDONLY);
	assert_string_equal(sdp.streams[0].codec, "opus");
	assert_true(sdp.streams[0].relayed);
	assert_sa(&sdp.streams[1].rtp, "10.0.0.2", 5000);
	assert_sa(&sdp.streams[1].rtcp, "10.0.0.3", 5009);
	assert_int_equal(sdp.streams[1].direction, SDP_RECVONLY);
	assert_true(sdp.streams[1].rtcp_mux);
	assert_string_equal(sdp.streams[1].codec, "H261");
	assert_sa(&sdp.streams[2].rtp, "10.0.0.1", 6000);
	assert_int_equal(sa_port(&sdp.streams[2].rtcp), 0);
	assert_string_equal(sdp.streams[2].codec, "t38");
	assert_false(sdp.streams[3].relayed);
	assert_false(sdp.streams[4].relayed);
	assert_string_equal(sdp.streams[4].codec, "");
	(void)state;
}

static void what_is_not_sdp_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"\r\n",
		"hello",
		"v=1\r\n" O,
		"v=0\r\ns=x\r\n",
		"v=0\r\no=a b\r\n",
		"v=0\r\n" O O,
		O "v=0\r\n",
		HEAD "m=audio\r\n",
		HEAD "m=audio 4000 RTP/AVP\r\n",
		HEAD "m=audio 70000 RTP/AVP 0\r\n",
		HEAD "m=audio -1 RTP/AVP 0\r\n",
		HEAD "m=audio x RTP/AVP 0\r\n",
		HEAD "\r\nm=audio 1 RTP/AVP 0\r\n",
		HEAD "nonsense\r\n",
		HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:0\r\n",
		HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:99999\r\n",
		HEAD "a=x\ry\r\n",
		"v=0\r\n" O "c=IN IP4\r\nm=audio 1 RTP/AVP 0\r\n",
		"v=0\r\n" O "t=0 0\r\nm=audio 1 RTP/AVP 0\r\n",
	};
	const struct pl nul = { HEAD "a=x\0y\r\n", sizeof(HEAD) + 6 };
	struct sdp sdp;
	struct pl text;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		text = pl(bad[i]);
		if (sdp_read(&sdp, &text) != EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(sdp_read(&sdp, &nul), EBADMSG);
	(void)state;
}

static void a_ninth_stream_is_too_much(void **state)
{
	char text[1024] = HEAD;
	struct sdp sdp;
	struct pl p;
	int i;

	for (i = 0; i < SDP_STREAMS; ++i)
		strcat(text, "m=audio 4000 RTP/AVP 0\r\n");
	p = pl(text);
	assert_int_equal(sdp_read(&sdp, &p), 0);
	assert_int_equal(sdp.n, SDP_STREAMS);
	strcat(text, "m=audio 4000 RTP/AVP 0\r\n");
	p = pl(text);
	assert_int_equal(sdp_read(&sdp, &p), E2BIG);
	(void)state;
}

static const struct {
	const char *in, *out;
} rows[] = {
	/* own addresses and ports; the rest byte by byte */
	{ HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 x/8000\r\n"
	       "a=unknown: kept \r\nb=AS:64\r\n",
	  OURS "m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:101 x/8000\r\n"
	       "a=unknown: kept \r\nb=AS:64\r\n" },
	/* c= of the streams instead of the session's */
	{ "v=0\r\n" O "s=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n" C
	  "m=video 4002 RTP/AVP 31\r\ni=x\r\n" C "a=x\r\n",
	  "v=0\r\n" OWN "s=-\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\n" OUR
	  "m=video 20002 RTP/AVP 31\r\ni=x\r\n" OUR "a=x\r\n" },
	/* rejected stays rejected, in its place */
	{ HEAD "m=audio 0 RTP/AVP 0\r\nm=video 4002 RTP/AVP 31\r\n",
	  OURS "m=audio 0 RTP/AVP 0\r\nm=video 20002 RTP/AVP 31\r\n" },
	/* other transports are off, and name no address */
	{ HEAD "m=message 7394 TCP/MSRP *\r\na=path:msrp://10.0.0.1:7394/x\r\n"
	       "m=audio 4000 RTP/AVP 0\r\n",
	  OURS "m=message 0 TCP/MSRP *\r\nm=audio 20002 RTP/AVP 0\r\n" },
	{ HEAD "m=image 4000 udptl t38\r\na=T38FaxVersion:0\r\n",
	  OURS "m=image 20000 udptl t38\r\na=T38FaxVersion:0\r\n" },
	/* ICE and BUNDLE */
	{ HEAD "a=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=ice-lite\r\n"
	       "a=ice-options:trickle\r\nm=audio 4000 RTP/AVP 0\r\n"
	       "a=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n"
	       "a=remote-candidates:1 10.0.0.7 1\r\na=ice-ufrag:x\r\n"
	       "a=ICE-pwd:y\r\na=end-of-candidates\r\na=mid:0\r\n"
	       "a=bundle-only\r\n",
	  OURS "a=group:LS 0 1\r\nm=audio 20000 RTP/AVP 0\r\na=mid:0\r\n" },
	/* a=rtcp becomes ours, without an address */
	{ HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:4009 IN IP4 10.0.0.1\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\na=rtcp:20001\r\n" },
	{ HEAD "m=audio 0 RTP/AVP 0\r\na=rtcp:4009 IN IP4 10.0.0.1\r\n",
	  OURS "m=audio 0 RTP/AVP 0\r\n" },
	/* hold with 0.0.0.0 */
	{ "v=0\r\n" O "s=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
	  "m=audio 4000 RTP/AVP 0\r\na=x\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\na=x\r\na=sendonly\r\n" },
	{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\n"
	       "a=x\r\nm=audio 4002 RTP/AVP 0\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\n" OUR "a=sendonly\r\na=x\r\n"
	       "m=audio 20002 RTP/AVP 0\r\n" },
	{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\n" OUR "a=inactive\r\n" },
	{ HEAD "a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n"
	       "c=IN IP4 0.0.0.0\r\n",
	  OURS "a=inactive\r\nm=audio 20000 RTP/AVP 0\r\n" OUR
	       "a=inactive\r\n" },
	/* the other directions are relayed */
	{ HEAD "m=audio 4000 RTP/AVP 0\r\na=recvonly\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\na=recvonly\r\n" },
	/* IPv6 towards IPv4, a name, a second c=, a last line without end */
	{ "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=x\r\nc=IN IP6 2001:db8::1\r\n"
	  "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
	  OURS "m=audio 20000 RTP/AVP 0\r\n" },
	{ "v=0\r\n" O "s=x\r\nc=IN IP4 pbx.local\r\nt=0 0\r\n"
	  "m=audio 4000 RTP/AVP 0",
	  OURS "m=audio 20000 RTP/AVP 0\r\n" },
	{ HEAD "m=audio 4000 RTP/AVP 0\r\n" C C "a=x",
	  OURS "m=audio 20000 RTP/AVP 0\r\n" OUR "a=x\r\n" },
	/* bare LF */
	{ "v=0\n" O "s=x\n" C "t=0 0\nm=audio 4000 RTP/AVP 0\na=y\n\n",
	  "v=0\n" OWN "s=x\n" OUR "t=0 0\nm=audio 20000 RTP/AVP 0\r\na=y\n" },
};

static void only_our_addresses_and_ports_go_on(void **state)
{
	struct sdp_rewrite rw;
	size_t i;

	rewrite_init(&rw);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); ++i)
		assert_written(&rw, rows[i].in, rows[i].out);
	(void)state;
}

static void ports_that_are_no_pair_are_said(void **state)
{
	struct sdp_rewrite rw;

	rewrite_init(&rw);
	rw.rtcp[0] = 30001;
	assert_written(&rw, HEAD "m=audio 4000 RTP/AVP 0\r\na=x\r\n",
		       OURS "m=audio 20000 RTP/AVP 0\r\na=x\r\n"
			    "a=rtcp:30001\r\n");
	(void)state;
}

static void a_stream_without_port_of_ours_is_off(void **state)
{
	struct sdp_rewrite rw;

	rewrite_init(&rw);
	rw.rtp[0] = 0;
	assert_written(&rw,
		       HEAD "m=audio 4000 RTP/AVP 0\r\n"
			    "a=rtcp:4001 IN IP4 10.0.0.1\r\n",
		       OURS "m=audio 0 RTP/AVP 0\r\n");
	(void)state;
}

static void rtcp_mux_goes_where_it_was_not_agreed(void **state)
{
	struct sdp_rewrite rw;

	rewrite_init(&rw);
	rw.strip_mux[1] = true;
	assert_written(&rw,
		       HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n"
			    "m=video 4002 RTP/AVP 31\r\na=rtcp-mux\r\n",
		       OURS "m=audio 20000 RTP/AVP 0\r\na=rtcp-mux\r\n"
			    "m=video 20002 RTP/AVP 31\r\n");
	(void)state;
}

static void a_session_name_goes_where_it_shall_not_be_said(void **state)
{
	struct sdp_rewrite rw;

	rewrite_init(&rw);
	rw.anonymous = true;
	assert_written(&rw, HEAD "m=audio 4000 RTP/AVP 0\r\na=kept\r\n",
		       "v=0\r\n" OWN "s=-\r\n" OUR "t=0 0\r\n"
		       "m=audio 20000 RTP/AVP 0\r\na=kept\r\n");
	assert_written(&rw, "v=0\n" O "s=J. Doe\n" C "m=audio 4000 RTP/AVP 0\n",
		       "v=0\n" OWN "s=-\r\n" OUR "m=audio 20000 RTP/AVP 0\r\n");
	(void)state;
}

static void ipv6_is_ours_too(void **state)
{
	struct sdp_rewrite rw;

	rewrite_init(&rw);
	(void)sa_set_str(&rw.addr, "2001:db8::9", 0);
	assert_written(&rw, HEAD "m=audio 4000 RTP/AVP 0\r\n",
		       "v=0\r\no=- 4711 2 IN IP6 2001:db8::9\r\ns=x\r\n"
		       "c=IN IP6 2001:db8::9\r\nt=0 0\r\n"
		       "m=audio 20000 RTP/AVP 0\r\n");
	(void)state;
}

static void the_hash_knows_a_change_but_not_the_version(void **state)
{
	struct pl a = pl(HEAD "m=audio 4000 RTP/AVP 0\r\n");
	struct pl b = pl("v=0\r\no=alice 77 9 IN IP4 10.0.0.1\r\ns=x\r\n" C
			 "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
	struct pl c = pl(HEAD "m=audio 4002 RTP/AVP 0\r\n");
	struct sdp x, y, z;

	assert_int_equal(sdp_read(&x, &a), 0);
	assert_int_equal(sdp_read(&y, &b), 0);
	assert_int_equal(sdp_read(&z, &c), 0);
	assert_true(x.hash == y.hash);
	assert_false(x.hash == z.hash);
	(void)state;
}

static void a_name_or_zero_gives_no_address_to_send_to(void **state)
{
	struct pl a = pl("v=0\r\n" O "c=IN IP4 pbx.local\r\n"
			 "m=audio 4000 RTP/AVP 0\r\n");
	struct pl b = pl("v=0\r\n" O "c=IN IP4 0.0.0.0\r\n"
			 "m=audio 4000 RTP/AVP 0\r\na=recvonly\r\n");
	struct sdp sdp;

	assert_int_equal(sdp_read(&sdp, &a), 0);
	assert_true(sdp.streams[0].relayed);
	assert_false(sa_isset(&sdp.streams[0].rtp, SA_ADDR));
	assert_false(sdp.streams[0].hold_zero);
	assert_int_equal(sdp_read(&sdp, &b), 0);
	assert_true(sdp.streams[0].hold_zero);
	assert_int_equal(sdp.streams[0].direction, SDP_INACTIVE);
	(void)state;
}

static void bandwidth_is_said_or_that_of_the_codec(void **state)
{
	static const char head[] = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
				   "c=IN IP4 192.0.2.1\r\n";
	/* clang-format off */
	static const struct { const char *rest; uint32_t kbit; } says[] = {
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\n", 80 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 18 8\r\n", 24 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n", 64 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 own/8000\r\n", 0 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=AS:100\r\n", 100 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=TIAS:64001\r\n", 65 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=AS:50\r\nb=TIAS:64000\r\n", 64 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=RR:800\r\nb=AS:x\r\nb=AS\r\n", 80 },
		{ "b=AS:300\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n", 300 },
		{ "b=AS:300\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=AS:70\r\n", 70 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nm=video 4002 RTP/AVP 97\r\nb=AS:500\r\n", 580 },
		{ "t=0 0\r\nm=audio 0 RTP/AVP 8\r\nb=AS:70\r\nm=audio 4000 RTP/AVP 0\r\n", 80 },
		{ "t=0 0\r\nm=audio 4000 RTP/AVP 8\r\nb=AS:4294967295\r\n"
		  "m=audio 4002 RTP/AVP 8\r\nb=AS:4294967295\r\n", UINT32_MAX },
	};
	/* clang-format on */
	(void)state;

	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); ++i) {
		char text[512];
		struct pl pl;
		struct sdp sdp;

		(void)snprintf(text, sizeof(text), "%s%s", head, says[i].rest);
		pl_set_str(&pl, text);
		assert_int_equal(sdp_read(&sdp, &pl), 0);
		assert_int_equal(sdp_bandwidth(&sdp), says[i].kbit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_read_in_order),
		cmocka_unit_test(what_is_not_sdp_is_refused),
		cmocka_unit_test(a_ninth_stream_is_too_much),
		cmocka_unit_test(only_our_addresses_and_ports_go_on),
		cmocka_unit_test(ports_that_are_no_pair_are_said),
		cmocka_unit_test(a_stream_without_port_of_ours_is_off),
		cmocka_unit_test(rtcp_mux_goes_where_it_was_not_agreed),
		cmocka_unit_test(bandwidth_is_said_or_that_of_the_codec),
		cmocka_unit_test(
			a_session_name_goes_where_it_shall_not_be_said),
		cmocka_unit_test(ipv6_is_ours_too),
		cmocka_unit_test(the_hash_knows_a_change_but_not_the_version),
		cmocka_unit_test(a_name_or_zero_gives_no_address_to_send_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
