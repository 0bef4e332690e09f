/*
 * Values of headers: what is well-formed is cut right, what is not is refused
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "policy/header.h"

static struct pl pl(const char *s)
{
	struct pl p = { s, strlen(s) };

	return p;
}

#define IS(range, text)                                                        \
	do {                                                                   \
		assert_int_equal((range).l, strlen(text));                     \
		assert_memory_equal((range).p, text, strlen(text));            \
	} while (0)

/* A copy that ends where the text ends: AddressSanitizer sees a byte more */
static struct pl tight(const char *s, char **mem)
{
	struct pl p;

	*mem = malloc(strlen(s) + 1);
	memcpy(*mem, s, strlen(s));
	p.p = *mem;
	p.l = strlen(s);
	*mem = realloc(*mem, p.l ? p.l : 1);
	p.p = *mem;
	return p;
}

static const struct {
	const char *text, *user, *password, *host;
	uint16_t port;
	const char *params, *headers;
} good_uris[] = {
	{ "sip:alice@example.com", "alice", "", "example.com", 0, "", "" },
	{ "SIPS:a:b@h:5061;x=y?s=1&t=", "a", "b", "h", 5061, ";x=y",
	  "?s=1&t=" },
	{ "sip:example.com", "", "", "example.com", 0, "", "" },
	{ "sip:[2001:db8::10]:5070", "", "", "2001:db8::10", 5070, "", "" },
	{ "sip:[2001:db8::10:5070]", "", "", "2001:db8::10:5070", 0, "", "" },
	{ "sip:u@[::ffff:192.0.2.1];lr", "u", "", "::ffff:192.0.2.1", 0, ";lr",
	  "" },
	{ "sip:+1-212-555;ext=1@g.com;user=phone", "+1-212-555;ext=1", "",
	  "g.com", 0, ";user=phone", "" },
	{ "sip:%2a21%23@h", "%2a21%23", "", "h", 0, "", "" },
	{ "sip:null-%00-null@h", "null-%00-null", "", "h", 0, "", "" },
	{ "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,"
	  "weird!*pas$wo~d_too.(doesn't-it)@example.com",
	  "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
	  "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)", "example.com", 0, "",
	  "" },
	{ "tel:+358-555-1234567;postd=pp22", "+358-555-1234567", "", "", 0,
	  ";postd=pp22", "" },
	{ "tel:*21#", "*21#", "", "", 0, "", "" },
	{ "sip:h.", "", "", "h.", 0, "", "" },
};

static void a_uri_is_cut_into_its_parts(void **state)
{
	struct uri uri;
	struct pl text;
	char *mem;
	size_t i;

	for (i = 0; i < sizeof(good_uris) / sizeof(*good_uris); ++i) {
		text = tight(good_uris[i].text, &mem);
		assert_int_equal(uri_read(&uri, &text), 0);
		IS(uri.user, good_uris[i].user);
		IS(uri.password, good_uris[i].password);
		IS(uri.host, good_uris[i].host);
		IS(uri.params, good_uris[i].params);
		IS(uri.headers, good_uris[i].headers);
		assert_int_equal(uri.port, good_uris[i].port);
		assert_int_equal(uri.has_user, good_uris[i].user[0] != 0);
		free(mem);
	}
	(void)state;
}

static void a_uri_that_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"sip",
		"sip:",
		":a@b",
		"1sip:a@b",
		"sip:@h",
		"sip::p@h",
		"sip:a@",
		"sip:a@h:",
		"sip:a@h:0",
		"sip:a@h:99999",
		"sip:a@h:65536",
		"sip:a@h:5060x",
		"sip:a@h:-1",
		"sip:a@@h",
		"sip:a@b@h",
		"sip:a@h ;lr",
		"sip:a@h; lr",
		"sip:a@h;",
		"sip:a@h;;lr",
		"sip:a@h;x=",
		"sip:a@h?",
		"sip:a@h>",
		"<sip:a@h>",
		"sip:a@.h",
		"sip:a@h..b",
		"sip:a@[::1",
		"sip:a@[::1]x",
		"sip:a@[127.0.0.1]",
		"sip:a@[2001:db8:::192.0.2.1]",
		"sip:a@[fe80::1%25eth0]",
		"sip:a@2001:db8::10",
		"sip:a%2@h",
		"sip:a%zz@h",
		"sip:a b@h",
		"sip:a\"b@h",
		"sip:a@h\x01",
		"sip:a\xc3\xa4@h",
		"tel:",
		"tel:-()",
		"tel:1+2",
		"tel:bob",
		"tel:+49;",
	};
	struct uri uri;
	struct pl text;
	char *mem;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		text = tight(bad[i], &mem);
		if (uri_read(&uri, &text) != EINVAL)
			fail_msg("accepted: %s", bad[i]);
		free(mem);
	}
	(void)state;
}

static void another_scheme_is_told_apart_from_a_bad_uri(void **state)
{
	static const char *const texts[] = { "http://x/", "soap.beep://192.0.2",
					     "mailto:a@b", "nobodyKnows:x",
					     "sipx:a@b" };
	struct uri uri;
	struct pl text;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); ++i) {
		text = pl(texts[i]);
		assert_int_equal(uri_read(&uri, &text), EPROTONOSUPPORT);
	}
	(void)state;
}

/* RFC 3261 19.1.4, its examples and ours; both ways */
static const struct {
	const char *a, *b;
	bool equal;
} pairs[] = {
	{ "sip:%61lice@atlanta.com;transport=TCP",
	  "sip:alice@AtLanTa.CoM;Transport=tcp", true },
	{ "sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true },
	{ "sip:carol@chicago.com;security=on",
	  "sip:carol@chicago.com;newparam=5", true },
	{ "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi."
	  "com",
	  "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi."
	  "com",
	  true },
	{ "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
	  "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true },
	{ "SIP:ALICE@AtLanTa.CoM;Transport=udp",
	  "sip:alice@AtLanTa.CoM;Transport=UDP", false },
	{ "sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false },
	{ "sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false },
	{ "sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp",
	  false },
	{ "sip:carol@chicago.com",
	  "sip:carol@chicago.com?Subject=next%20meeting", false },
	{ "sip:carol@chicago.com;security=on",
	  "sip:carol@chicago.com;security=off", false },
	{ "sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false },
	{ "sip:a@h", "sips:a@h", false },
	{ "sip:a@h", "sip:h", false },
	{ "sip:a@h", "sip:a:@h", true },
	{ "sip:a@h", "sip:a:p@h", false },
	{ "sip:a@h;maddr=1.2.3.4", "sip:a@h", false },
	{ "sip:a@[::1]", "sip:a@[0:0:0:0:0:0:0:1]", true },
	{ "sip:a%40b@h", "sip:a%40b@h", true },
	{ "sip:a%3bb@h", "sip:a;b@h", false },
	{ "tel:+49-30-1234", "tel:+49301234", true },
	{ "tel:+49301234", "tel:+49301235", false },
	{ "tel:123;phone-context=a", "tel:123", false },
};

static void uris_compare_as_rfc_3261_says(void **state)
{
	struct uri a, b;
	struct pl text;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); ++i) {
		text = pl(pairs[i].a);
		assert_int_equal(uri_read(&a, &text), 0);
		text = pl(pairs[i].b);
		assert_int_equal(uri_read(&b, &text), 0);
		if (uri_equal(&a, &b) != pairs[i].equal ||
		    uri_equal(&b, &a) != pairs[i].equal)
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
	}
	(void)state;
}

static void separators_count_in_names_but_not_in_numbers(void **state)
{
	struct pl a = pl("+49(30)12-34.5"), b = pl("+493012345");
	struct pl c = pl("bob-1"), d = pl("bob1");

	assert_true(user_equal(&a, &b));
	assert_false(user_equal(&c, &d));
	assert_true(user_equal(&c, &c));
	(void)state;
}

static void hosts_compare_without_case_dot_and_form(void **state)
{
	struct pl a = pl("Example.NET."), b = pl("example.net");
	struct pl c = pl("2001:DB8::1"), d = pl("2001:db8:0:0::1");
	struct pl e = pl("example.com"), f = pl("");

	assert_true(host_equal(&a, &b));
	assert_true(host_equal(&c, &d));
	assert_false(host_equal(&b, &e));
	assert_false(host_equal(&c, &b));
	assert_false(host_equal(&f, &c));
	(void)state;
}

static void a_numeric_host_gives_address_and_port(void **state)
{
	struct pl text = pl("sip:a@192.0.2.7:5070");
	struct uri uri;
	struct sa sa;

	assert_int_equal(uri_read(&uri, &text), 0);
	assert_true(uri_is_numeric(&uri, &sa));
	assert_int_equal(sa_in(&sa), 0xc0000207);
	assert_int_equal(sa_port(&sa), 5070);
	text = pl("sip:a@[2001:db8::7]");
	assert_int_equal(uri_read(&uri, &text), 0);
	assert_true(uri_is_numeric(&uri, &sa));
	assert_int_equal(sa_af(&sa), AF_INET6);
	text = pl("sip:a@host7");
	assert_int_equal(uri_read(&uri, &text), 0);
	assert_false(uri_is_numeric(&uri, &sa));
	(void)state;
}

static const struct {
	const char *text, *display, *spec, *params;
} addresses[] = {
	{ "<sip:a@h>", "", "sip:a@h", "" },
	{ "sip:a@h", "", "sip:a@h", "" },
	{ "sip:a@h;tag=1", "", "sip:a@h", ";tag=1" },
	{ " sip:a@h ; tag = 1 ", "", "sip:a@h", "; tag = 1" },
	{ "\"Bell, \\\"Al\\\" <x>\" <sip:a@h;x=1,2@y>;tag=z", NULL, NULL,
	  NULL },
	{ "\"Bell, \\\"Al\\\" <x>\" <sip:a,b@h;x=1>;tag=z",
	  "\"Bell, \\\"Al\\\" <x>\"", "sip:a,b@h;x=1", ";tag=z" },
	{ "caller<sip:c@h>;tag=323", "caller", "sip:c@h", ";tag=323" },
	{ "M\xc3\xbcller & <sip:a@h>", NULL, NULL, NULL },
	{ "M\xc3\xbcller X. <sip:a@h>", "M\xc3\xbcller X.", "sip:a@h", "" },
	{ "<http://x/y?z>;q=1", "", "http://x/y?z", ";q=1" },
	{ "<sip:a@h>;+sip.instance=\"<urn:uuid:1>\";q=0.5", "", "sip:a@h",
	  ";+sip.instance=\"<urn:uuid:1>\";q=0.5" },
	{ "Bell, Alexander <sip:a@h>", NULL, NULL, NULL },
	{ "\"Mr. J. User <sip:j@h>", NULL, NULL, NULL },
	{ "sip:a@h?Route=%3Csip:x%3E", NULL, NULL, NULL },
	{ "<sip:a@h", NULL, NULL, NULL },
	{ "<sip:a@h>x", NULL, NULL, NULL },
	{ "<sip:a@h>;", NULL, NULL, NULL },
	{ "<sip:a@h>;;tag=1", NULL, NULL, NULL },
	{ "<sip:a@h>;tag=\"x", NULL, NULL, NULL },
	{ "<sip:a@h>;tag=", NULL, NULL, NULL },
	{ "< sip:a@h>", NULL, NULL, NULL },
	{ "<>", NULL, NULL, NULL },
	{ "", NULL, NULL, NULL },
	{ "*", NULL, NULL, NULL },
	{ "\"x\"", NULL, NULL, NULL },
	{ "\"x\\", NULL, NULL, NULL },
};

static void an_address_is_cut_or_refused(void **state)
{
	struct address addr;
	struct pl text;
	char *mem;
	size_t i;
	int err;

	for (i = 0; i < sizeof(addresses) / sizeof(*addresses); ++i) {
		text = tight(addresses[i].text, &mem);
		err = address_read(&addr, &text);
		if (!addresses[i].spec) {
			if (!err)
				fail_msg("accepted: %s", addresses[i].text);
		} else {
			assert_int_equal(err, 0);
			IS(addr.display, addresses[i].display);
			IS(addr.spec, addresses[i].spec);
			IS(addr.params, addresses[i].params);
		}
		free(mem);
	}
	(void)state;
}

static void from_and_to_have_one_tag_with_a_value_or_none(void **state)
{
	static const struct {
		const char *text, *tag; /* NULL: refused */
	} rows[] = {
		{ "<sip:a@h>", "" },
		{ "<sip:a@h>;tag=1", "1" },
		{ "sip:a@h ; TAG = 1x ;q=1", "1x" },
		{ "<sip:a@h;tag=no>;tagged=2;x", "" },
		{ "<sip:a@h>;tag=1;tag=2", NULL },
		{ "<sip:a@h>;tag", NULL },
		{ "<sip:a@h>;tag=1;;", NULL },
		{ "<sip:a@h>;tag=1;x=\"", NULL },
		{ "<sip:a@h;tag=1", NULL },
	};
	struct address addr;
	struct pl text, tag;
	char *mem;
	int err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		tag = pl("");
		text = tight(rows[i].text, &mem);
		err = address_read_tagged(&addr, &tag, &text);
		if (!err != !!rows[i].tag)
			fail_msg("%s: %d", rows[i].text, err);
		if (!err) {
			IS(tag, rows[i].tag);
		}
		tag = pl("");
		assert_int_equal(address_tag(&tag, &text), err);
		if (!err) {
			IS(tag, rows[i].tag);
		}
		free(mem);
	}
	(void)state;
}

static void a_list_is_cut_at_its_own_commas_only(void **state)
{
	struct pl rest = pl("\"a,\\\"b\" <sip:x,y@h>, <sip:z> ;p=\"1,2\" , "
			    "(c, (d)) e,sip:(415)@h");
	struct pl v;

	assert_int_equal(list_next(&rest, &v), 0);
	IS(v, "\"a,\\\"b\" <sip:x,y@h>");
	assert_int_equal(list_next(&rest, &v), 0);
	IS(v, "<sip:z> ;p=\"1,2\"");
	assert_int_equal(list_next(&rest, &v), 0);
	IS(v, "(c, (d)) e");
	assert_int_equal(list_next(&rest, &v), 0);
	IS(v, "sip:(415)@h");
	assert_int_equal(list_next(&rest, &v), ENOENT);
	(void)state;
}

static void a_list_with_a_hole_is_refused(void **state)
{
	static const char *const bad[] = { ",a",  "a,", "a,,b", "a, ,b",
					   "\"a", "<a", "a,\"", "(a" };
	struct pl rest, v;
	char *mem;
	size_t i;
	int err;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		rest = tight(bad[i], &mem);
		do {
			err = list_next(&rest, &v);
		} while (!err);
		assert_int_equal(err, EINVAL);
		free(mem);
	}
	rest = pl("  ");
	assert_int_equal(list_next(&rest, &v), ENOENT);
	(void)state;
}

static void a_parameter_is_found_by_its_whole_name(void **state)
{
	struct pl p = pl(";atag=1 ; TAG = \"a;b\" ;lr;t=2"), v;

	assert_int_equal(param_get(&p, "tag", &v), 0);
	IS(v, "\"a;b\"");
	assert_int_equal(param_get(&p, "lr", &v), 0);
	assert_int_equal(v.l, 0);
	assert_int_equal(param_get(&p, "ta", &v), ENOENT);
	(void)state;
}

static void quotes_and_escapes_are_undone(void **state)
{
	struct pl q = pl("\"a\\\"b\\\\c\""), t = pl("plain\\x");
	char buf[8];

	assert_int_equal(quoted_undo(buf, sizeof(buf), &q), 5);
	assert_memory_equal(buf, "a\"b\\c", 5);
	assert_int_equal(quoted_undo(buf, sizeof(buf), &t), 7);
	assert_memory_equal(buf, "plain\\x", 7);
	assert_int_equal(quoted_undo(buf, 4, &q), -1);
	(void)state;
}

static const struct {
	const char *text, *transport, *host;
	uint16_t port;
	const char *branch;
	bool rport;
} vias[] = {
	{ "SIP/2.0/UDP h;branch=z9hG4bK1", "UDP", "h", 0, "z9hG4bK1", false },
	{ "SIP  /   2.0  /UDP    192.0.2.2;branch=390skdjuw", "UDP",
	  "192.0.2.2", 0, "390skdjuw", false },
	{ "SIP/ 2.0/TCP   h : 5070 ;\t branch  =  x ; rport", "TCP", "h", 5070,
	  "x", true },
	{ "SIP/2.0/UDP [2001:db8::9:1]:5061;received=2001:db8::9:255;rport=7",
	  "UDP", "2001:db8::9:1", 5061, "", true },
	{ "sip/2.0/TLS-SCTP h", "TLS-SCTP", "h", 0, "", false },
	{ "SIP/2.0/UDP 192.0.2.15;;,;,,", NULL, NULL, 0, NULL, false },
	{ "SIP/3.0/UDP h", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDPh", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP h:0", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP h:x", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP 2001:db8::1;branch=x", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP h;branch=a;branch=b", NULL, NULL, 0, NULL, false },
	{ "SIP/2.0/UDP h;branch", NULL, NULL, 0, NULL, false },
	{ "", NULL, NULL, 0, NULL, false },
};

static void a_via_is_cut_or_refused(void **state)
{
	struct via via;
	struct pl text;
	char *mem;
	size_t i;
	int err;

	for (i = 0; i < sizeof(vias) / sizeof(*vias); ++i) {
		text = tight(vias[i].text, &mem);
		err = via_read(&via, &text);
		if (!vias[i].host) {
			if (!err)
				fail_msg("accepted: %s", vias[i].text);
		} else {
			assert_int_equal(err, 0);
			IS(via.transport, vias[i].transport);
			IS(via.host, vias[i].host);
			IS(via.branch, vias[i].branch);
			assert_int_equal(via.port, vias[i].port);
			assert_int_equal(via.has_rport, vias[i].rport);
		}
		free(mem);
	}
	(void)state;
}

static void the_top_via_is_the_first_of_a_list(void **state)
{
	static const struct {
		const char *list, *text, *host; /* host NULL: refused */
	} rows[] = {
		{ " SIP/2.0/UDP a;branch=x ", "SIP/2.0/UDP a;branch=x", "a" },
		{ "SIP/2.0/UDP a , SIP/2.0/UDP b", "SIP/2.0/UDP a", "a" },
		{ "SIP/2.0/UDP a;x=\"1,2\"", "SIP/2.0/UDP a;x=\"1,2\"", "a" },
		{ "SIP/2.0/UDP a;x=\"1,2\",nonsense", "SIP/2.0/UDP a;x=\"1,2\"",
		  "a" },
		{ ",SIP/2.0/UDP a", NULL, NULL },
		{ "SIP/2.0/UDP a (aside", NULL, NULL },
		{ "SIP/2.0/UDP a;x= (", NULL, NULL },
		{ "SIP/2.0/UDP a;x=\"1,2", NULL, NULL },
		{ "", NULL, NULL },
	};
	struct via via;
	struct pl list, text;
	char *mem;
	int err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); ++i) {
		list = tight(rows[i].list, &mem);
		err = via_read_top(&via, &text, &list);
		if (!err != !!rows[i].host)
			fail_msg("%s: %d", rows[i].list, err);
		if (!err) {
			IS(text, rows[i].text);
			IS(via.host, rows[i].host);
		}
		free(mem);
	}
	(void)state;
}

static void a_cseq_stays_below_2_31(void **state)
{
	static const char *const bad[] = { "2147483648 INVITE",
					   "36893488147419103232 REGISTER",
					   "-1 INVITE",
					   "1",
					   "1 ",
					   "1INVITE",
					   "INVITE",
					   "1 INV ITE",
					   "1 INVITE,2 ACK",
					   "" };
	struct pl text = pl(" 0009\t INVITE "), method;
	uint32_t n;
	size_t i;

	assert_int_equal(cseq_read(&n, &method, &text), 0);
	assert_int_equal(n, 9);
	IS(method, "INVITE");
	text = pl("2147483647 !interesting-Method0123456789_*+`.%indeed'~");
	assert_int_equal(cseq_read(&n, &method, &text), 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		text = pl(bad[i]);
		assert_int_equal(cseq_read(&n, &method, &text), EINVAL);
	}
	(void)state;
}

static void a_challenge_is_read_in_any_order(void **state)
{
	struct pl text =
		pl(" digest  opaque = \"o\\\"p\" , x-new=\"q,r\",stale="
		   "TRUE,nonce=\"n=,1\",qop=\"auth,auth-int\", "
		   "algorithm=SHA-256,realm=\"A, B\",userhash=true");
	struct challenge c;

	assert_int_equal(challenge_read(&c, &text), 0);
	IS(c.scheme, "digest");
	IS(c.realm, "A, B");
	IS(c.nonce, "n=,1");
	IS(c.opaque, "o\\\"p");
	IS(c.algorithm, "SHA-256");
	IS(c.qop, "auth,auth-int");
	assert_true(c.stale && c.userhash);
	assert_true(c.has_opaque && c.has_algorithm && c.has_qop);

	text = pl("Digest realm=\"\",nonce=\"1\",opaque=\"\"");
	assert_int_equal(challenge_read(&c, &text), 0);
	assert_true(c.has_opaque);
	assert_false(c.has_qop || c.has_algorithm || c.stale);
	(void)state;
}

static void another_scheme_has_a_name_and_nothing_else(void **state)
{
	struct pl text = pl("NoOneKnowsThisScheme opaque-data=here");
	struct challenge c;

	assert_int_equal(challenge_read(&c, &text), 0);
	IS(c.scheme, "NoOneKnowsThisScheme");
	assert_int_equal(c.realm.l, 0);
	assert_int_equal(c.nonce.l, 0);
	(void)state;
}

static void a_challenge_that_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"Digest",
		"Digest realm=\"r\"",
		"Digest nonce=\"n\"",
		"Digest realm=\"r\",nonce=\"\"",
		"Digest realm=\"r\",nonce=\"n\",nonce=\"m\"",
		"Digest realm=\"r\",nonce=\"n\",Realm=\"r\"",
		"Digest realm=r,nonce=\"n\"",
		"Digest realm=\"r\",nonce=n",
		"Digest realm=\"r\",nonce=\"n",
		"Digest realm=\"r\" nonce=\"n\"",
		"Digest realm=\"r\",,nonce=\"n\"",
		"Digest realm=\"r\",nonce=\"n\",",
		"Digest realm=\"r\",nonce=\"n\",stale",
		"Digest realm=\"r\",nonce=\"n\",Digest realm=\"s\"",
		"Digest realm=\"r\",nonce=\"n\",qop=\"auth",
		"Digest,realm=\"r\",nonce=\"n\"",
	};
	struct challenge c;
	struct pl text;
	char *mem;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); ++i) {
		text = tight(bad[i], &mem);
		if (challenge_read(&c, &text) != EINVAL)
			fail_msg("accepted: %s", bad[i]);
		free(mem);
	}
	(void)state;
}

static void a_media_type_is_compared_without_case_and_parameters(void **state)
{
	struct pl a = pl("Application / SDP ;charset=x"), b = pl("text/plain");
	struct pl c = pl("application/sdpx"), d = pl("application/sdp x");

	assert_true(content_is(&a, "application", "sdp"));
	assert_false(content_is(&b, "application", "sdp"));
	assert_false(content_is(&c, "application", "sdp"));
	assert_false(content_is(&d, "application", "sdp"));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uri_is_cut_into_its_parts),
		cmocka_unit_test(a_uri_that_is_not_well_formed_is_refused),
		cmocka_unit_test(another_scheme_is_told_apart_from_a_bad_uri),
		cmocka_unit_test(uris_compare_as_rfc_3261_says),
		cmocka_unit_test(separators_count_in_names_but_not_in_numbers),
		cmocka_unit_test(hosts_compare_without_case_dot_and_form),
		cmocka_unit_test(a_numeric_host_gives_address_and_port),
		cmocka_unit_test(an_address_is_cut_or_refused),
		cmocka_unit_test(from_and_to_have_one_tag_with_a_value_or_none),
		cmocka_unit_test(a_list_is_cut_at_its_own_commas_only),
		cmocka_unit_test(a_list_with_a_hole_is_refused),
		cmocka_unit_test(a_parameter_is_found_by_its_whole_name),
		cmocka_unit_test(quotes_and_escapes_are_undone),
		cmocka_unit_test(a_via_is_cut_or_refused),
		cmocka_unit_test(the_top_via_is_the_first_of_a_list),
		cmocka_unit_test(a_cseq_stays_below_2_31),
		cmocka_unit_test(a_challenge_is_read_in_any_order),
		cmocka_unit_test(another_scheme_has_a_name_and_nothing_else),
		cmocka_unit_test(
			a_challenge_that_is_not_well_formed_is_refused),
		cmocka_unit_test(
			a_media_type_is_compared_without_case_and_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
