// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/publicsuffix"
)

// judgeAuthority holds CA certificates to the rule "ca", which no setting switches off.
func (h *hearing) judgeAuthority() {
	if !h.cert.IsCA {
		return
	}
	named := slices.Contains(h.settings.Authorities, h.issue.Application)
	if !named && len(h.authority) == 0 {
		h.breach("ca", "%s may not have a CA certificate", h.issue.Application)
	}
	terms := h.authority
	if len(terms) == 0 {
		terms = []Below{{}}
	}
	fits := slices.ContainsFunc(terms, func(t Below) bool {
		return h.cert.MaxPathLen == t.PathLength && (t.PathLength > 0 || h.cert.MaxPathLenZero) && h.limitedTo(t)
	})
	if !fits {
		h.breach("ca", "path length %d, names below %q and %v: not as any of %v", h.cert.MaxPathLen, h.cert.PermittedDNSDomains, h.cert.PermittedIPRanges, terms)
	}
}

// limitedTo reports whether the name constraints are those that a rule gives or, where it gives none and only what is
// listed may be certified, the lists. A kind of name whose list is empty is excluded.
func (h *hearing) limitedTo(terms Below) bool {
	domains, networks := terms.Domains, terms.Networks
	bound := len(domains)+len(networks) > 0
	if !bound && h.strict() && h.settings.Policy != "open" { // also where it is only reported
		bound, domains, networks = true, h.settings.Domains, h.settings.Networks
	}
	var gotDomains, gotNetworks []string
	for _, domain := range h.cert.PermittedDNSDomains {
		gotDomains = append(gotDomains, strings.TrimPrefix(domain, "."))
	}
	for _, network := range h.cert.PermittedIPRanges {
		gotNetworks = append(gotNetworks, network.String())
	}
	var wantNetworks []string
	for _, network := range networks {
		wantNetworks = append(wantNetworks, network.Masked().String())
	}
	noDomains := len(domains) > 0 || !bound || slices.Contains(h.cert.ExcludedDNSDomains, "")
	noNetworks := len(networks) > 0 || !bound || len(h.cert.ExcludedIPRanges) == 2
	return same(gotDomains, domains) && same(gotNetworks, wantNetworks) && noDomains && noNetworks
}

func same(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// judgeRules holds a certificate to all other rules, in their order.
func (h *hearing) judgeRules() {
	if fault := h.keyFault(); fault != "" {
		h.breach("keys", "%s", fault)
	}
	if h.request != nil {
		h.judgeRequest()
	}
	if h.forClients() && h.issue.CrossModel && !h.allowed.Clients {
		h.breach("usages", "good for clients in another model")
	}
	if count := len(texts(h.subject, oidCommonName)); count > 1 {
		h.breach("common-name", "%d common names", count)
	}
	if h.forClients() {
		h.judgeIdentities()
	}
	for _, commonName := range texts(h.subject, oidCommonName) {
		commonName = strings.TrimSpace(commonName)
		if addr, err := netip.ParseAddr(commonName); err == nil {
			h.judgeAddress(addr.WithZone(""))
		} else if isHost(commonName) {
			h.judgeHost(commonName)
		} else if slices.Contains(h.cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && isLikeHost(commonName) {
			if strings.Contains(commonName, "*") {
				h.breach("wildcards", "%q", commonName)
			} else if h.strict() && !h.within(commonName) {
				h.breach("names", "%q is not listed", commonName)
			}
		}
	}
	for _, name := range h.names {
		h.judgeAltName(name)
	}
	if len(h.names) > 100 && h.issue.Kind != Application { // which has the names of all units
		h.breach("name-count", "%d names", len(h.names))
	}
	h.judgeQuota()
}

// judgeRequest looks at what a request asks for that no certificate shows.
func (h *hearing) judgeRequest() {
	asked, readable := h.askedUsages()
	for _, usage := range asked {
		if !usage.Equal(oidServerAuth) && !usage.Equal(oidClientAuth) {
			h.breach("usages", "the request asks for %s", usage)
		}
	}
	if !readable {
		h.breach("usages", "the request asks for usages that cannot be read")
	}
	for _, one := range h.request.Extensions {
		if one.Critical && !one.Id.Equal(oidAltNames) && !one.Id.Equal(oidKeyUsage) && !one.Id.Equal(oidExtKeyUsage) && !one.Id.Equal(oidConstraints) {
			h.breach("extensions", "the request has the critical extension %s", one.Id)
		}
		if one.Id.Equal(oidConstraints) && h.issue.Kind != Authority {
			content := cryptobyte.String(one.Value)
			var isCA bool
			if !content.ReadASN1(&content, cbasn1.SEQUENCE) || content.PeekASN1Tag(cbasn1.BOOLEAN) && !content.ReadASN1Boolean(&isCA) || isCA {
				h.breach("ca", "the request is for a CA, its item is not")
			}
		}
	}
}

// reservedName reports whether Kubernetes or a proxy before it gives a common name a meaning.
func reservedName(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return strings.HasPrefix(name, "system:") || slices.Contains([]string{"client", "front-proxy-client", "aggregator"}, name)
}

func reservedOrganization(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return strings.HasPrefix(name, "system:") || strings.HasPrefix(name, "kubeadm:")
}

// judgeIdentities looks at whom whoever has the certificate can be.
func (h *hearing) judgeIdentities() {
	commonNames := texts(h.subject, oidCommonName)
	for _, name := range commonNames {
		switch {
		case h.mayBe(name):
		case reservedName(name):
			h.breach("identities", "%s is the client %q", h.issue.Application, name)
		case h.strict() && h.issue.Kind != Shared && !h.cert.IsCA && !h.listedHost(name): // a CA is known by its key, not its name
			h.breach("identities", "the client %q is not listed", name)
		}
		if node, isNode := strings.CutPrefix(name, "system:node:"); isNode && node != "" {
			key := place{h.issue.Relation, name}
			if holder, held := h.judge.nodes[key]; held && holder != h.issue.Unit {
				h.breach("identities", "%q is %s and %s", name, holder, h.issue.Unit)
			} else {
				h.judge.nodes[key] = h.issue.Unit
			}
		}
	}
	for _, name := range texts(h.subject, oidOrganization) {
		ofNode := name == "system:nodes" && h.node && len(commonNames) == 1 && isNodeName(commonNames[0])
		if reservedOrganization(name) && !ofNode && !matches(h.allowed.Identities, name) { // others: see expectedSubject
			h.breach("identities", "%s is in the group %q", h.issue.Application, name)
		}
	}
}

// listedHost reports whether a client's name is that of a host which a server may be.
func (h *hearing) listedHost(name string) bool {
	if addr, err := netip.ParseAddr(strings.TrimSpace(name)); err == nil {
		return h.inNetworks(addr.Unmap())
	}
	return isHost(name) && (h.within(name) || h.controlPlane && isAPIServer(plain(name)))
}

func isNodeName(name string) bool {
	return strings.HasPrefix(name, "system:node:") && name != "system:node:"
}

// mayBe reports whether a role or a rule lets the application be a client of a name.
func (h *hearing) mayBe(name string) bool {
	switch name {
	case "system:kube-apiserver", "system:kube-controller-manager", "system:kube-scheduler":
		if h.controlPlane {
			return true
		}
	case "system:kube-proxy", "system:kubelet":
		if h.node {
			return true
		}
	}
	return h.node && isNodeName(name) || matches(h.allowed.Identities, name)
}

// isHostName is RFC 1123, 2.1, for a text in lower case.
func isHostName(text string) bool {
	if len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// isHost reports whether a text names a host to somebody: with a wildcard, in capitals, or with the root's dot.
func isHost(text string) bool { return isHostName(strings.TrimPrefix(plain(text), "*.")) }

// isLikeHost reports whether a text that names no host may be one to OpenSSL, which knows "f*.example.com" and "a_b".
func isLikeHost(text string) bool {
	return strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789-_.*") == ""
}

func plain(name string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".")
}

// within reports whether a name, or what a wildcard stands before, is in one of the domains that are listed.
func (h *hearing) within(name string) bool {
	name = strings.TrimPrefix(plain(name), "*.")
	return slices.ContainsFunc(slices.Concat(h.settings.Domains, h.allowed.Domains), func(domain string) bool {
		domain = plain(domain)
		return name == domain || strings.HasSuffix(name, "."+domain)
	})
}

// isAPIServer reports whether a cluster's own clients take whoever has the name for their API server.
func isAPIServer(name string) bool {
	return name == "kubernetes" || name == "kubernetes.default" || name == "kubernetes.default.svc" || strings.HasPrefix(name, "kubernetes.default.svc.")
}

// judgeHost holds one DNS name to the rules "wildcards" and "names".
func (h *hearing) judgeHost(text string) {
	name := plain(text)
	parent, wild := strings.CutPrefix(name, "*.")
	if wild || strings.Contains(name, "*") {
		suffix, _ := publicsuffix.PublicSuffix(parent)
		if !h.allowed.Wildcards || strings.Contains(parent, "*") || !strings.Contains(parent, ".") || suffix == parent {
			h.breach("wildcards", "%q", text)
		}
	}
	forServer := name
	if wild {
		forServer = "kubernetes." + parent // which the wildcard covers
	}
	apiServer := isAPIServer(forServer)
	listed := slices.ContainsFunc(h.allowed.Domains, func(domain string) bool {
		domain = plain(domain)
		return isAPIServer(domain) && (forServer == domain || strings.HasSuffix(forServer, "."+domain))
	})
	if apiServer && !h.controlPlane && !listed {
		h.breach("names", "%s is the API server %q", h.issue.Application, text)
	}
	labels := strings.Split(name, ".")
	if last := labels[len(labels)-1]; isNumber(last) {
		h.breach("names", "%q can be read as an address", text)
	}
	international := slices.ContainsFunc(labels, func(label string) bool { return strings.HasPrefix(label, "xn--") })
	if (international || h.strict() && !(apiServer && (h.controlPlane || listed))) && h.issue.Kind != Shared && !h.within(name) {
		h.breach("names", "%q is not listed", text)
	}
}

// isNumber reports whether resolvers read a last label as part of an IPv4 address.
func isNumber(label string) bool {
	if hex, found := strings.CutPrefix(label, "0x"); found {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// judgeAddress holds one address to the rule "addresses".
func (h *hearing) judgeAddress(addr netip.Addr) {
	if addr.Is4In6() {
		if h.request != nil {
			h.breach("addresses", "%s is mapped", addr)
		}
		addr = addr.Unmap()
	}
	odd := addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if (odd || h.strict()) && !h.inNetworks(addr) {
		h.breach("addresses", "%s", addr)
	}
}

// inNetworks reports whether an address is in one of the networks that are listed.
func (h *hearing) inNetworks(addr netip.Addr) bool {
	return slices.ContainsFunc(slices.Concat(h.settings.Networks, h.allowed.Networks), func(network netip.Prefix) bool { return network.Contains(addr) })
}

// judgeAltName holds one alternative name to the rule for its kind.
func (h *hearing) judgeAltName(name generalName) {
	text := string(name.content)
	switch name.kind {
	case kindDNS:
		h.judgeHost(text)
	case kindIP:
		if addr, ok := netip.AddrFromSlice(name.content); ok {
			h.judgeAddress(addr)
		}
	case kindMail:
		if _, host, found := strings.Cut(text, "@"); h.strict() && (!found || !h.within(host)) {
			h.breach("other-names", "the mail address %q is not listed", text)
		}
	case kindURI:
		if !slices.ContainsFunc(h.allowed.URIs, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
			h.breach("other-names", "the URI %q is not listed", text)
		}
	case kindID:
	default:
		h.breach("other-names", "a name of the kind %d", name.kind)
	}
}

// judgeQuota counts.
func (h *hearing) judgeQuota() {
	if h.issue.Kind == Shared {
		return
	}
	j, bag := h.judge, place{h.issue.Relation, h.issue.Unit}
	if j.related[h.issue.Relation]++; j.related[h.issue.Relation] > h.settings.PerRelation {
		h.breach("quota", "%d certificates for one relation", j.related[h.issue.Relation])
	}
	if h.issue.Kind == Application {
		return
	}
	if j.units[bag]++; j.units[bag] > h.settings.PerUnit {
		h.breach("quota", "%d certificates for one databag", j.units[bag])
	}
	if h.issue.Unit == "" {
		return
	}
	recent := slices.DeleteFunc(j.hours[h.issue.Unit], func(at time.Time) bool { return h.issue.At.Sub(at) >= time.Hour })
	j.hours[h.issue.Unit] = append(recent, h.issue.At)
	if len(recent) >= 5*h.settings.PerUnit {
		h.breach("quota", "%d certificates for one unit within an hour", len(recent)+1)
	}
}
