/*
 * Every rule of verify-config: id, severity, sentence and hint
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/rules.h"

/* clang-format off */
/* p and q are parameters, v and w values, T an element, k a key (acli.md 3.5) */
#define E(n, ...)  { "VC-" n, SEVERITY_ERROR, __VA_ARGS__, false },
#define W(n, ...)  { "VC-" n, SEVERITY_WARNING, __VA_ARGS__, false },
#define N(n, ...)  { "VC-" n, SEVERITY_NOTE, __VA_ARGS__, false },
#define FE(n, ...) { "VC-" n, SEVERITY_ERROR, __VA_ARGS__, true },
#define FN(n, ...) { "VC-" n, SEVERITY_NOTE, __VA_ARGS__, true },
const struct rule_text rules[] = {
	E("0101", "reference to a missing object",
	  "has reference to T [v] which does not exist", "Create T [v] or correct p")
	W("0102", "soft reference to a missing object",
	  "has reference to T [v] which does not exist", "Create T [v] or empty p, it has no effect")
	E("0103", "reference differs from an existing name in case only",
	  "has reference to T [v] which does not exist, but T [w] does", "Did you mean [w]? Names are case-sensitive")
	E("0104", "required parameter empty",
	  "is missing p entry", "Set p")
	FE("0105", "value of wrong type, range or word, or name with forbidden characters",
	  "has invalid p [v]", "Allowed: RANGE")
	FE("0106", "same key twice",
	  "is defined more than once", "Remove or rename one")
	W("0107", "two names differ in case only",
	  "and [k2] differ in case only", "Rename one")
	FE("0108", "unknown element or parameter",
	  "has unknown parameter [p]; Unknown element [v]", "Did you mean [q]?")
	W("0110", "enabled object refers to a disabled one",
	  "uses T [v] which is disabled", "Enable T [v] or change p")
	N("0111", "any named profile, rule, key-set, plug-in: nothing refers to it",
	  "is not used by any element", "Delete it if it is not needed")
	E("0112", "the key file does not open the stored secret (host)",
	  "has a p that the key file does not open", "Restore the key file or enter p again")
	N("0113", "p is not default but q makes it idle (constraints, triggered-*, ping-*, tls-profile on UDP)",
	  "has p [v] which has no effect while q is [w]", "Change q or clear p")
	W("0114", "option unknown, or literally enabled or disabled",
	  "has unknown option [v]", "See the list of options")
	E("0116", "no enabled sip-interface",
	  "The configuration has no enabled sip-interface", "Add one")
	N("0117", "verify-ignore names an unknown id, an ERROR, or matched nothing",
	  "has verify-ignore [v] without effect", "Remove it")
	N("0118", "no DNS answer in time (dns)",
	  "could not check p [v] in DNS", "Try again, or check the DNS servers")
	N("0119", "parameter is not default but this version does not serve it; a WARNING where a port stays closed",
	  "has p [v] which has no effect in this version", "Leave p at its default")
	FN("0120", "element, parameter or word that the SBC knows but has no use for",
	  "is not needed and was left out", "Remove it, or leave it as it is")
	FE("0121", "the text is not YAML, or uses more of YAML than a configuration needs",
	  "The text is not YAML", "")
	E("0201", "parent-realm or dns-realm chain is a circle; parent-realm is itself: W",
	  "has p in a circle [a b a]", "Break the chain")
	W("0203", "no sip-interface here, in a parent or a child",
	  "has no sip-interface", "Add one or delete the realm")
	W("0204", "signalling passes, no steering-pool here or in a parent",
	  "has no steering-pool", "Calls with media get 503")
	W("0205", "prefixes overlap those of a sibling realm (same parent-realm) that shares its sip-interface",
	  "and realm-config [k2] overlap in addr-prefix [v]", "The longer prefix wins")
	E("0206", "no sip-port",
	  "has no sip-port", "Add one")
	E("0207", "address, port and transport used twice; 0.0.0.0 and :: clash with all",
	  "clashes with sip-port [v] from sip-interface [k2]", "Change port or address")
	E("0209", "address not on this machine (host)",
	  "has address [v] which this machine does not have", "Add it to the system first")
	E("0210", "TLS or WSS without tls-profile",
	  "is TLS but has no tls-profile", "Set tls-profile")
	W("0211", "registration-caching enabled, sip-config registrar-domain empty",
	  "caches registrations but sip-config has no registrar-domain", "Set registrar-domain")
	W("0213", "state disabled",
	  "is disabled, no SIP is served", "Enable it")
	W("0214", "home-realm-id has no sip-interface",
	  "has home-realm-id [v] without sip-interface", "Choose a realm with one")
	E("0215", "init-timer above max-timer",
	  "has init-timer [v] greater than max-timer [w]", "RFC 3261 17.1.2.2")
	W("0217", "registration-rate 0",
	  "has registration-rate [0], registrations are not paced", "Set what the registrars accept")
	E("0219", "one address with overlapping UDP or TCP ports in two uses not named in VC-0207, 0603, 0604, 0936",
	  "uses [v], as does E [k2]", "Separate the ports")
	W("0225", "console-timeout 0",
	  "lets idle connections live for ever", "Set console-timeout")
	W("0228", "process-log-level or log-levels DEBUG or finer, or call-trace enabled",
	  "has p [v] permanently", "Use log-level ... for MINUTES, notify sipd siplog")
	W("0301", "address, port and realm of another",
	  "and session-agent [k2] have the same address [v]", "The source cannot be told apart")
	W("0302", "no ip-address, hostname does not resolve (dns)",
	  "has a hostname that does not resolve", "Set ip-address or correct DNS")
	E("0304", "egress realm has no sip-port of its transport",
	  "uses [v] but realm-config [r] has no such sip-port", "Add one or change transport-method")
	E("0305", "egress realm has no sip-port of its address family",
	  "is [IPv6] but realm-config [r] has no such sip-port", "Add one")
	W("0306", "max-inbound- or max-outbound-sessions above max-sessions",
	  "has p [v] greater than max-sessions [w]", "Lower p")
	W("0307", "rate set, its window 0",
	  "has p [v] but q is 0", "Set q")
	W("0313", "no policy-attributes",
	  "has no policy-attributes", "It matches and routes nowhere")
	E("0314", "from-address or to-address an empty list",
	  "has an empty p", "Use * for any")
	E("0315", "next-hop of no known form",
	  "has invalid next-hop [v]", "Address, name, SAG:, enum: or lrt:")
	W("0316", "next-hop does not resolve (dns)",
	  "has next-hop [v] which does not resolve", "Correct DNS or the name")
	E("0317", "egress realm known neither by realm, by the agent, nor by sip-config egress-realm-id",
	  "has no egress realm for next-hop [v]", "Set realm")
	E("0318", "egress realm without sip-interface here or in a parent",
	  "leads to realm-config [r] which has no sip-interface", "Add one or change realm")
	W("0319", "realm is not the agent's realm-id",
	  "has realm [v] but session-agent [a] is in realm [w]", "realm wins; make them equal")
	W("0320", "same from, to and source-realm as another, in other order or case",
	  "and local-policy [k2] match the same requests", "Merge them")
	W("0321", "shadowed: a route that always sorts earlier at the same times and methods ends the search (terminate-recursion, max-routes)",
	  "is never tried, [v] ends the search before it", "Change cost or terminate-recursion")
	W("0322", "unreachable: no source-realm has an enabled sip-interface",
	  "can match no request", "Correct source-realm")
	W("0323", "unreachable: deactivate-time is past or not after activate-time",
	  "is not active since [v]", "Delete it or change the time")
	E("0324", "start-time not before end-time, or no days-of-week",
	  "is valid at no time", "Correct the times")
	E("0325", "loop: next-hop is an own sip-port of a source-realm of the policy; of another realm it is a WARNING",
	  "sends calls to [v], which is this SBC", "Change next-hop")
	W("0327", "loop: next-hop is the only agent of the source-realm, same realm",
	  "may send calls back to where they came from", "Narrow from-address or to-address")
	W("0328", "has a sip-interface, but no policy and no surrogate with route-to-registrar",
	  "has no local-policy, calls from it get 404", "Add one")
	W("0329", "lookup multi, session-router additional-lp-lookups 0",
	  "has lookup [multi] but additional-lp-lookups is 0", "Set it to 1 or more")
	W("0330", "stop-recurse lacks 401 or 407",
	  "does not stop recursion on [v]", "A challenge would start the next route")
	N("0331", "two attributes equal in every key of the order",
	  "has equal routes [a] and [b]", "Configuration order decides; set cost")
	E("0401", "expanded AoRs overlap another agent's, in any realm",
	  "and surrogate-agent [k2] both produce AoR [v]", "Separate count-start and aor-count")
	E("0402", "expanded contact users overlap another agent's on the same register-contact-host",
	  "and surrogate-agent [k2] both produce contact user [v]", "Calls could not be told apart")
	E("0404", "caret overflow: count-start + aor-count - 1 has more digits than carets",
	  "needs [5] digits but p has [4] carets", "Add carets or lower aor-count")
	E("0405", "carets in two groups",
	  "has carets in two places in p", "Put them together")
	W("0406", "register-contact-user set; carets in only one of it and register-user, or of other width",
	  "has different carets in register-user and register-contact-user", "Use the same")
	W("0408", "aor-count above 1, no carets, name ends in a digit",
	  "appends numbers to [v], which ends in a digit", "Use carets")
	E("0409", "register-contact-host is an address, but of no sip-port",
	  "has register-contact-host [v] which is not ours", "Use a sip-port of the registrar's realm")
	W("0410", "it is a name that does not resolve to a sip-port (dns)",
	  "has register-contact-host [v] which does not lead to us", "Correct DNS")
	W("0411", "it is a sip-port of another realm than the registrar's",
	  "has register-contact-host [v] of realm [w], the registrar is in realm [r]", "Use a sip-port of realm [r]")
	W("0412", "customer-next-hop is no agent, group or address and does not resolve (dns)",
	  "has customer-next-hop [v] which does not resolve", "Calls to the PBX get 404")
	W("0413", "customer-next-hop gives several targets, none is pinged (dns)",
	  "has customer-next-hop [v] with [3] targets and no health check", "Make session-agents with ping-method")
	W("0414", "customer-next-hop agent is in another realm",
	  "has customer-next-hop [v] in realm [w], not in realm-id [r]", "Correct realm-id")
	W("0415", "register-host does not resolve, no agent or policy gives a target (dns)",
	  "has register-host [v] which does not resolve", "Correct DNS or add a session-agent")
	E("0416", "neither proxy-name, session-agent, policy nor sip-config egress-realm-id gives an egress realm for REGISTER",
	  "has no route to registrar [v]", "Add a local-policy or session-agent")
	W("0417", "automatic mode; no password, no plug-in, no credentials for single AoRs",
	  "has no password", "A challenge cannot be answered")
	W("0418", "credentials for single AoRs exist, but for other or fewer AoRs",
	  "has [500] AoRs but own credentials for [480]", "Import the rest, or they use the common ones")
	W("0419", "AoRs / half of register-expires, summed by registrar, above registration-rate",
	  "needs [140] registrations a second, registration-rate is [100]", "Raise one of the two")
	W("0421", "source-ip-prefix holds no address of customer-next-hop",
	  "has source-ip-prefix [v] without its customer-next-hop", "Requests of the PBX would not match")
	W("0422", "auth-methods not empty and without INVITE",
	  "has auth-methods without INVITE", "Calls would not be authenticated")
	W("0501", "auth-user-lookup without entry in the egress realm (imported rows count)",
	  "has auth-user-lookup [v] but realm-config [r] has no auth-attribute with it", "Add it; challenged calls fail as unauthorized (auth-lookup-miss)")
	W("0502", "auth-user-lookup set, realm empty",
	  "has auth-user-lookup [v] but no realm", "The realm of the agent is used; write it down")
	E("0503", "same auth-realm and auth-user-lookup twice",
	  "has the auth-realm and auth-user-lookup of another entry", "Remove one")
	E("0504", "same auth-realm twice",
	  "has the auth-realm of another entry", "Remove one")
	W("0505", "shadowed: the PBX has a surrogate-agent that answers",
	  "is overridden by surrogate-agent [k2]", "Remove the entry")
	W("0506", "shadowed: every route from this agent leads to agents with an entry for this auth-realm or *",
	  "is never used, session-agent [a] answers first", "Remove the entry")
	W("0507", "shadowed: every route out of realm-id has auth-user-lookup",
	  "lends credentials that no call uses", "Remove auth-user-lookup from the routes, or accept it")
	W("0508", "unused: nothing that leads to the realm has its auth-user-lookup",
	  "has auth-user-lookup [v] which nothing uses", "Delete it")
	E("0509", "password empty, no auth-plugin",
	  "has no password", "Enter password")
	W("0510", "peers of the realm have challenged with auth-realm v; the lookup in use has no entry for it or *",
	  "has no entry for auth-realm [v], seen in challenges", "Add it")
	W("0511", "auth-realm * in a public realm",
	  "answers challenges of any auth-realm", "Name the auth-realm")
	W("0512", "same auth-realm and username, other password, same realm",
	  "has another password than [k2] for the same user", "One is wrong")
	W("0515", "rows of the credential table for a realm that does not exist",
	  "credentials has [120] rows for realm-config [v] which does not exist", "Create the realm or delete the rows")
	E("0601", "start-port 0 or below 1024, or above end-port",
	  "has start-port [v] greater than end-port [w]; invalid start-port [v]", "Use 1024-65534, start below end")
	E("0603", "same address, ranges overlap",
	  "overlaps steering-pool [k2]", "Separate the ranges")
	E("0604", "a UDP sip-port of the address lies in the range",
	  "contains sip-port [v]", "Move one of them")
	W("0607", "begins odd, or has an odd number of ports",
	  "has an unpaired port", "RTP even, RTCP the next odd (RFC 3550 11)")
	W("0608", "fewer ports than 2 x the sessions its constraints allow",
	  "has [400] ports for [500] sessions", "Enlarge the pool")
	W("0609", "overlaps the system's local port range (host)",
	  "overlaps the system's port range [v]", "Reserve the ports or move the pool")
	W("0613", "sip-interface with nat-traversal, symmetric-latching disabled",
	  "serves endpoints behind NAT without symmetric-latching", "Enable it")
	E("0712", "open relay: public realm, allow-anonymous all, trust none, and a policy sends its calls to another realm with credentials. Realm option accept-open-relay: W",
	  "lets anybody call through local-policy [k2] with our credentials", "Set allow-anonymous agents-only")
	W("0713", "public realm, allow-anonymous all",
	  "accepts requests from anybody in a public realm", "Set agents-only or registered")
	W("0714", "public, trust none or low, all signal thresholds 0",
	  "is public without signal thresholds", "Set maximum-signal-threshold")
	W("0715", "trust high for a public realm or for every address",
	  "trusts every sender", "Narrow it")
	W("0718", "trust-me enabled, public realm, no TLS",
	  "is trusted without TLS in a public realm", "Identities can be forged (RFC 3325)")
	E("0720", "key file for secrets or a private key missing or readable by others; a configuration file with secrets in clear: W (host)",
	  "File [v] is missing or readable by others", "chmod 600")
	N("0721", "superuser group has members, no superuser password (host)",
	  "has no superuser password", "set-password superuser")
	E("0901", "flow-token enabled, no flow-token-key-set",
	  "uses flow tokens without a key-set", "Set flow-token-key-set")
	E("0903", "flow-token enabled, no sip-port of flow-transports",
	  "uses flow tokens but has no stream sip-port", "Add TCP or TLS (RFC 5626)")
	W("0905", "flow-token-max-age, or max-keys x generate-interval, below registration-interval",
	  "has tokens that end before registrations", "Raise p")
	W("0906", "require-flow enabled and a UDP sip-port",
	  "requires flows but serves UDP", "UDP users are refused")
	W("0907", "flow-timer 0, nat-traversal not none",
	  "has no flow-timer behind NAT", "Set 120")
	E("0915", "security-handling and challenge-passthrough disabled, auth-plugin empty",
	  "hands challenges out but has no auth-plugin", "Set auth-plugin")
	W("0916", "security-handling disabled, password set",
	  "has a password that is never used", "Empty it")
	W("0917", "security-handling enabled, auth-plugin set",
	  "has auth-plugin [v] that is never asked", "Disable security-handling")
	W("1001", "enabled, no account-servers, file-output disabled",
	  "writes records to the database only", "Enable file-output")
	E("1002", "file-path missing or not writable (host)",
	  "has file-path [v] which cannot be written", "Create it")
	E("1004", "ftp-push enabled without push-receiver, or file-output disabled",
	  "has ftp-push without push-receiver; has ftp-push without file-output", "Complete it")
	{ NULL, SEVERITY_ERROR, NULL, NULL, NULL, false },
};
/* clang-format on */

static void finding_destructor(void *arg)
{
	struct finding *f = arg;

	list_unlink(&f->le);
	mem_deref(f->key);
	mem_deref(f->parent_key);
	mem_deref(f->spelled);
	mem_deref(f->parent_spelled);
	mem_deref(f->parameter);
	mem_deref(f->value);
	mem_deref(f->message);
	mem_deref(f->hint);
}

static int text_dup(char **to, const char *from)
{
	return from ? str_dup(to, from) : 0;
}

/* The key; nothing where it is not yet known */
static int key_dup(char **to, char **spelled, const struct element *type,
		   const void *item)
{
	struct item_ref ref = { type, item };
	int err;

	if (!type || !item || (type->flags & SINGLE))
		return 0;

	err = re_sdprintf(to, "%H", item_key_print, &ref) ||
	      re_sdprintf(spelled, "%H", item_key_spell, &ref);
	if (!err && !**to) {
		*to = mem_deref(*to);
		*spelled = mem_deref(*spelled);
	}

	return err;
}

/* "SUB [KEY] from ELEMENT [KEY] sentence" */
static int message_make(struct finding *f, const char *sentence)
{
	if (!f->element || isupper((unsigned char)sentence[0]))
		return str_dup(&f->message, sentence);

	return re_sdprintf(
		&f->message, "%s%s%s%s%s%s%s%s%s %s", f->element->name,
		f->key ? " [" : "", f->key ? f->key : "", f->key ? "]" : "",
		f->parent ? " from " : "", f->parent ? f->parent->name : "",
		f->parent_key ? " [" : "", f->parent_key ? f->parent_key : "",
		f->parent_key ? "]" : "", sentence);
}

const struct rule_text *rule_find(const char *id)
{
	for (const struct rule_text *r = rules; r->id; r++) {
		if (!strcmp(r->id, id))
			return r;
	}

	return NULL;
}

int finding_vadd(struct list *findings, const char *id,
		 const struct finding_about *about, const char *fmt, va_list ap)
{
	const char *parameter =
		about->field ? about->field->name : about->parameter;
	char *sentence = NULL;
	struct finding *f;
	int err, n;

	f = mem_zalloc(sizeof(*f), finding_destructor);
	if (!f)
		return ENOMEM;

	f->rule = rule_find(id);
	assert(f->rule);
	f->severity = about->severity_set ? about->severity : f->rule->severity;
	f->element = about->element;
	f->parent = about->parent;
	f->line = about->line;
	f->column = about->column;

	err = key_dup(&f->key, &f->spelled, about->element, about->item) ||
	      key_dup(&f->parent_key, &f->parent_spelled, about->parent,
		      about->parent_item) ||
	      text_dup(&f->parameter, parameter) ||
	      text_dup(&f->value, about->value) ||
	      text_dup(&f->hint, about->hint ? about->hint : f->rule->hint);
	if (err) {
		err = ENOMEM;
		goto out;
	}

	n = vasprintf(&sentence, fmt, ap);
	if (n < 0) {
		sentence = NULL;
		err = ENOMEM;
		goto out;
	}
	err = message_make(f, sentence);

out:
	free(sentence);
	if (err)
		mem_deref(f);
	else
		list_append(findings, &f->le, f);

	return err;
}

int finding_add(struct list *findings, const char *id,
		const struct finding_about *about, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = finding_vadd(findings, id, about, fmt, ap);
	va_end(ap);

	return err;
}
