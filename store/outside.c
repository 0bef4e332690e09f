/*
 * What rules may ask that is not in the configuration: machine, database, DNS
 */
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include "store/outside.h"

static bool machine_has(const struct sa *sa, void *arg)
{
	const struct ifaddrs *list = arg;
	struct sa have;

	for (; list; list = list->ifa_next) {
		if (!list->ifa_addr || sa_set_sa(&have, list->ifa_addr))
			continue;
		if (sa_cmp(&have, sa, SA_ADDR))
			return true;
	}
	/* Linux serves the whole of 127.0.0.0/8 by one address of lo */
	return sa_af(sa) == AF_INET && sa_in(sa) >> 24 == 127;
}

/* IPv6 has no range of its own: the kernel uses this one for both */
static void ports_read(struct outside_host *host)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned first, last;

	host->first_port = host->last_port = 0;
	if (!f)
		return;
	if (fscanf(f, "%5u %5u", &first, &last) == 2 && first <= last) {
		host->first_port = first;
		host->last_port = last;
	}
	(void)fclose(f);
}

int outside_host_look(struct outside_host *host)
{
	struct ifaddrs *addresses = NULL;

	if (getifaddrs(&addresses))
		return errno;

	host->has_address = machine_has;
	host->arg = addresses;
	ports_read(host);
	return 0;
}

void outside_host_forget(struct outside_host *host)
{
	if (host->has_address == machine_has && host->arg)
		freeifaddrs(host->arg);
	host->has_address = NULL;
	host->arg = NULL;
}
