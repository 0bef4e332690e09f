/*
 * Rules for flow tokens of a sip-interface
 */
#include <strings.h>
#include "store/checks/checks.h"

static bool has_transport(const struct sip_interface *iface,
			  const struct names *wanted)
{
	static const char *const words[] = { "UDP", "TCP", "TLS", "WS", "WSS" };

	for (uint32_t i = 0; i < iface->sip_ports.n; i++) {
		const struct sip_port *port = iface->sip_ports.v[i];

		for (uint32_t j = 0; j < wanted->n; j++) {
			if (!strcasecmp(wanted->v[j],
					words[port->transport_protocol]))
				return true;
		}
	}

	return false;
}

static bool has_udp(const struct sip_interface *iface)
{
	static char *udp[] = { (char *)"UDP" };
	static const struct names names = { 1, udp };

	return has_transport(iface, &names);
}

static void tokens(struct survey *s, const struct sip_interface *iface,
		   struct finding_about about)
{
	about.parameter = "flow-token-key-set";
	if (!*iface->flow_token_key_set)
		survey_found(s, "VC-0901", &about,
			     "uses flow tokens without a key-set");
	about.parameter = "flow-transports";
	if (!has_transport(iface, &iface->flow_transports))
		survey_found(s, "VC-0903", &about,
			     "uses flow tokens but has no stream sip-port");
	about.parameter = "flow-token-max-age";
	about.value = survey_text(s, "%u", iface->flow_token_max_age);
	about.hint = "Raise flow-token-max-age";
	if (iface->flow_token_max_age &&
	    iface->flow_token_max_age < iface->registration_interval)
		survey_found(s, "VC-0905", &about,
			     "has tokens that end before registrations");
}

void check_flows(struct survey *s)
{
	size_t n = config_count(s->cfg, &element_sip_interface);

	for (size_t i = 0; i < n; i++) {
		const struct item *item =
			config_item_at(s->cfg, &element_sip_interface, i);
		const struct sip_interface *iface = item->value;
		struct finding_about about = about_item(item);

		if (iface->flow_token)
			tokens(s, iface, about);
		about.parameter = "require-flow";
		about.value = "enabled";
		if (iface->require_flow && has_udp(iface))
			survey_found(s, "VC-0906", &about,
				     "requires flows but serves UDP");
		about.parameter = "flow-timer";
		about.value = "0";
		if (!iface->flow_timer &&
		    iface->nat_traversal != NAT_TRAVERSAL_NONE)
			survey_found(s, "VC-0907", &about,
				     "has no flow-timer behind NAT");
	}
}
