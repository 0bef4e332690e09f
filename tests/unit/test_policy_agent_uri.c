/*
 * Unit tests: the Request-URI as one session-agent wants it
 */
#include "config_fixture.h"
#include "policy/agent_uri.h"

struct row {
	const char *loose, *mode, *carrier, *ruri, *wanted; /* NULL: as it is */
};

static const struct row rows[] = {
	{ "enabled", "none", "1234", "sip:0301@h", NULL },
	{ "enabled", "uri-param", "", "sip:0301@h", NULL },
	{ "enabled", "uri-param", "1234", "sip:0301@h;user=phone",
	  "sip:0301;cic=1234@h;user=phone" },
	{ "enabled", "uri-param", "+1-678", "tel:+4930",
	  "tel:+4930;cic=+1-678" },
	{ "enabled", "uri-param", "1234", "tel:+4930;isub=1",
	  "tel:+4930;cic=1234;isub=1" },
	{ "enabled", "prefix", "1234", "sips:+4930:pw@[2001:db8::1]:5061",
	  "sips:1234+4930:pw@[2001:db8::1]:5061" },
	{ "enabled", "prefix", "1234", "sip:h", NULL },
	{ "disabled", "none", "", "sip:0301@a.example:5080;user=phone?X=y",
	  "sip:0301@192.0.2.1:5070;user=phone?X=y" },
	{ "disabled", "none", "", "sip:a.example", "sip:192.0.2.1:5070" },
	{ "disabled", "none", "", "sip:1@[2001:db8::1]:5062?X=y",
	  "sip:1@192.0.2.1:5070?X=y" },
	{ "disabled", "none", "", "tel:+4930", NULL },
	{ "disabled", "prefix", "9", "sip:0301@a.example",
	  "sip:90301@192.0.2.1:5070" },
};

static void each_row_is_written_as_the_session_agent_wants_it(void **s)
{
	struct sa target;
	(void)s;

	assert_int_equal(sa_set_str(&target, "192.0.2.1", 5070), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct config *cfg = config_new();
		const struct session_agent *agent =
			config_add(cfg, &element_session_agent, "hostname", "a",
				   "loose-routing", r->loose,
				   "req-uri-carrier-mode", r->mode, NULL);
		struct pl ruri = range_of(r->ruri);
		char *out = NULL;

		assert_int_equal(
			agent_uri(&out, &ruri, agent, r->carrier, &target), 0);
		if (!out != !r->wanted || (out && strcmp(out, r->wanted)))
			fail_msg("%s: %s", r->ruri, out ? out : "as it is");
		mem_deref(out);
		config_give(cfg);
	}
}

static void the_usual_port_and_ipv6_are_written_as_they_must_be(void **s)
{
	static const struct {
		const char *addr;
		uint16_t port;
		const char *wanted;
	} targets[] = {
		{ "192.0.2.1", 5060, "sip:1@192.0.2.1" },
		{ "2001:db8::1", 5060, "sip:1@[2001:db8::1]" },
		{ "2001:db8::1", 5061, "sip:1@[2001:db8::1]:5061" },
	};
	struct config *cfg = config_new();
	const struct session_agent *agent =
		config_add(cfg, &element_session_agent, "hostname", "a",
			   "loose-routing", "disabled", NULL);
	struct pl ruri = PL("sip:1@h:9");
	(void)s;

	for (size_t i = 0; i < 3; i++) {
		struct sa target;
		char *out = NULL;

		assert_int_equal(
			sa_set_str(&target, targets[i].addr, targets[i].port),
			0);
		assert_int_equal(agent_uri(&out, &ruri, agent, "", &target), 0);
		assert_string_equal(out, targets[i].wanted);
		mem_deref(out);
	}
	config_give(cfg);
}

static void what_cannot_be_read_is_an_error(void **s)
{
	struct config *cfg = config_new();
	const struct session_agent *agent =
		config_add(cfg, &element_session_agent, "hostname", "a", NULL);
	struct pl ruri = PL("http://x");
	struct sa target;
	char *out = NULL;
	(void)s;

	sa_init(&target, AF_INET);
	assert_int_equal(agent_uri(&out, &ruri, agent, "1", &target), EINVAL);
	assert_null(out);
	config_give(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			each_row_is_written_as_the_session_agent_wants_it),
		cmocka_unit_test(
			the_usual_port_and_ipv6_are_written_as_they_must_be),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
