// SPDX-License-Identifier: AGPL-3.0-only

package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/signet-charm/signet/internal/cert"
)

// The rules, in their order. README.md tells operators of them.
const (
	ruleCA         = "ca"
	ruleKeys       = "keys"
	ruleUsages     = "usages"
	ruleExtensions = "extensions"
	ruleCommonName = "common-name"
	ruleIdentities = "identities"
	ruleWildcards  = "wildcards"
	ruleNames      = "names"
	ruleAddresses  = "addresses"
	ruleOtherNames = "other-names"
	ruleNameCount  = "name-count"
	ruleSubject    = "subject"
)

// MaxNames is how many names a certificate has at most.
const MaxNames = 100

func (j *judgement) refuse(code Code, rule, fix, format string, args ...any) {
	j.verdict.Refusals = append(j.verdict.Refusals, Refusal{Code: code, Rule: rule, Reason: fmt.Sprintf(format, args...), Fix: fix})
}

// authorities: a CA certificate only for applications that are named, in every mode.
func (j *judgement) authorities() {
	if j.Kind != cert.Intermediate {
		if j.Asked != nil && j.Asked.IsCA && j.settings.Mode != Open {
			j.refuse(CANotAllowed, ruleCA, "", "the request's basic constraints are a CA's, but no CA certificate is asked for")
		}
		return
	}
	if j.strict {
		j.verdict.Constraints = &cert.Constraints{Domains: j.settings.Domains, Networks: texts(j.settings.Networks)}
	}
	for _, exception := range j.exceptions {
		if ca := exception.CA; ca != nil {
			j.use(exception.String())
			j.verdict.PathLen = ca.PathLength
			if len(ca.Domains)+len(ca.networks) > 0 {
				j.verdict.Constraints = &cert.Constraints{Domains: ca.Domains, Networks: texts(ca.networks)}
			}
			return
		}
	}
	if !slices.Contains(j.settings.Intermediates, j.App) {
		j.refuse(CANotAllowed, ruleCA, j.fix("ca: {path-length: 0}"), "application %s may not have a CA certificate", j.App)
		return
	}
	j.use("intermediate-applications")
}

func texts(networks []netip.Prefix) []string {
	var list []string
	for _, network := range networks {
		list = append(list, network.String())
	}
	return list
}

const (
	keyEd25519 = "ed25519"
	keyP521    = "ecdsa-p521"
)

// exceptionalKeys are certified by exception only: Kubernetes' programs do not all load them.
func exceptionalKeys() []string { return []string{keyEd25519, keyP521} }

func (j *judgement) keys() {
	kind := ""
	switch key := j.Key.(type) {
	case ed25519.PublicKey:
		kind = keyEd25519
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P521() {
			kind = keyP521
		}
	}
	if kind != "" && !j.excepted(func(e Exception) bool { return slices.Contains(e.Keys, kind) }) {
		j.refuse(WeakKey, ruleKeys, j.fix("keys: ", kind), "a key of the kind %s is not certified: not all programs of a cluster load one", kind)
	}
}

func (j *judgement) usages() {
	if j.Asked != nil && len(j.Asked.OtherUsages) > 0 {
		j.refuse(UsageNotAllowed, ruleUsages, "", "the request asks for the extended key usage %s; only those of servers and clients are certified",
			shorten(j.Asked.OtherUsages[0]))
	}
	if !j.CrossModel || !j.isClient() || j.excepted(func(e Exception) bool { return e.Clients }) {
		return
	}
	if j.ServerAuth && j.Asked == nil { // the dialect cannot say what is needed; what servers need is given
		j.ClientAuth, j.verdict.ServersOnly = false, true
		return
	}
	j.refuse(UsageNotAllowed, ruleUsages, j.fix("clients: true"), "an application of another model gets no certificate that is good for clients")
}

func (j *judgement) extensions() {
	if j.Asked != nil && len(j.Asked.Critical) > 0 {
		j.refuse(ExtensionNotAllowed, ruleExtensions, "", "the request insists on the extension %s, which is not certified", shorten(j.Asked.Critical[0]))
	}
}

// identities: whom Kubernetes would take the certificate's holder for.
func (j *judgement) identities() {
	if len(j.CommonNames) > 1 {
		j.refuse(NameNotAllowed, ruleCommonName, "", "the subject has %d common names, and programs disagree on which one counts", len(j.CommonNames))
	}
	if !j.isClient() {
		return
	}
	isNode := len(j.CommonNames) == 1 && strings.HasPrefix(j.CommonNames[0], nodeUser)
	for _, user := range j.CommonNames {
		j.user(user)
	}
	if j.Asked == nil {
		return
	}
	for _, group := range j.Asked.Organizations {
		allowed := j.excepted(func(e Exception) bool { return matchesAny(e.Identities, group) }) ||
			group == nodeGroup && isNode && j.has(node)
		switch {
		case allowed:
		case reservedGroup(group):
			j.refuse(IdentityNotAllowed, ruleIdentities, j.identityFix(group),
				"the organization %s is a group of Kubernetes' that application %s is not meant to be in", quote(group), j.App)
		default:
			j.verdict.Without = append(j.verdict.Without, group)
		}
	}
}

// identityFix is empty where a rule cannot have this identity and no other: with a "*" at its end it would allow all that begin
// like it.
func (j *judgement) identityFix(name string) string {
	if strings.HasSuffix(name, "*") || strings.TrimSpace(name) != name || name == "" {
		return ""
	}
	return j.fix("identities: ", name)
}

func (j *judgement) user(user string) {
	needed := roleFor(user)
	switch {
	case j.Shared:
	case j.NodeHolder != "":
		j.refuse(IdentityNotAllowed, ruleIdentities, "", "the node of %s is that of unit %s", quote(user), j.NodeHolder)
	case needed != "" && j.has(needed), j.excepted(func(e Exception) bool { return matchesAny(e.Identities, user) }):
	case needed != "":
		j.refuse(IdentityNotAllowed, ruleIdentities, j.fix("role: "+string(needed)),
			"application %s has not the role %s, whose user %s is", j.App, needed, quote(user))
	case reservedUser(user):
		j.refuse(IdentityNotAllowed, ruleIdentities, j.identityFix(user),
			"the common name %s is a user of Kubernetes' that application %s is not meant to be", quote(user), j.App)
	case j.strict && j.Kind != cert.Intermediate && !j.within(user):
		j.refuse(IdentityNotAllowed, ruleIdentities, j.identityFix(user),
			"the common name %s is neither allowed nor within the allowed domains", quote(user))
	}
}

// within reports whether a common name is a host name or an address that the application may have.
func (j *judgement) within(commonName string) bool {
	names, err := cert.ParseNames([]string{commonName})
	if err != nil || names.Len() != 1 {
		return false
	}
	if len(names.DNS) == 1 {
		return j.inDomains(names.DNS[0])
	}
	return j.inNetworks(netip.MustParseAddr(names.IPs[0]))
}

// hosts are the names that a certificate would be good for, the common names that are one among them.
func (j *judgement) hosts() cert.Names {
	names := j.Names
	if j.Kind == cert.Intermediate && j.Asked == nil {
		names = cert.Names{} // the legacy dialect's are left out
	}
	if j.Shared {
		return names
	}
	for _, name := range j.CommonNames {
		if address, err := netip.ParseAddr(strings.TrimSpace(name)); err == nil {
			name = address.WithZone("").String() // the interface makes it no other address
		}
		if parsed, err := cert.ParseNames([]string{name}); err == nil {
			names = names.With(parsed)
		}
	}
	return names
}

// alikes are the common names that are no host names, but that OpenSSL compares with one all the same: "kube*.default.svc" is
// the API server's to it where there are no alternative names (X509_check_host(3)).
func (j *judgement) alikes() {
	if j.Shared || !j.ServerAuth {
		return
	}
	for _, name := range j.CommonNames {
		plain := strings.ToLower(name)
		if _, err := cert.ParseNames([]string{name}); err == nil || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyz0123456789-._*") != "" {
			continue
		}
		switch {
		case strings.Contains(name, "*"):
			j.refuse(WildcardNotAllowed, ruleWildcards, "", "the common name %s stands for several hosts", quote(name))
		case j.strict && !j.listed(plain):
			j.refuse(NameNotAllowed, ruleNames, "", "the common name %s is not within the allowed domains", quote(name))
		}
	}
}

func (j *judgement) names() {
	j.alikes()
	for _, name := range j.hosts().DNS {
		base, wildcard := strings.CutPrefix(name, "*.")
		if wildcard && !j.wildcard(name, base) {
			continue
		}
		last := base[strings.LastIndexByte(base, '.')+1:]
		switch asServer := strings.Replace(name, "*", "kubernetes", 1); {
		case isNumber(last):
			j.refuse(NameNotAllowed, ruleNames, "", "the name %s ends in a number, so that programs take it for an address", quote(name))
		case isInternational(name) && !j.listed(name):
			j.refuse(NameNotAllowed, ruleNames, j.fix("domains: ", base),
				"the name %s shows as other letters than it is written in, which may look like somebody else's", quote(name))
		case kubernetesName(asServer):
			if !j.has(controlPlane) && !j.excepted(func(e Exception) bool { return inside(asServer, kubernetesNames(e.Domains)) }) {
				j.refuse(NameNotAllowed, ruleNames, j.fix("role: "+string(controlPlane)),
					"the name %s is the API server's, and application %s has not the role control-plane", quote(name), j.App)
			}
		case j.strict && !j.inDomains(name):
			j.refuse(NameNotAllowed, ruleNames, j.fix("domains: ", base), "the name %s is not within the allowed domains", quote(name))
		}
	}
}

func (j *judgement) wildcard(name, base string) bool {
	if !j.excepted(func(e Exception) bool { return e.Wildcards }) {
		j.refuse(WildcardNotAllowed, ruleWildcards, j.fix("wildcards: true"), "the name %s stands for every host there", quote(name))
		return false
	}
	if suffix, _ := publicsuffix.PublicSuffix(base); !strings.Contains(base, ".") || suffix == base {
		j.refuse(WildcardNotAllowed, ruleWildcards, "", "the name %s stands for the domains of many owners", quote(name))
		return false
	}
	return true
}

// isNumber reports whether a last label makes programs read a name as an IPv4 address (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	if hex, found := strings.CutPrefix(label, "0x"); found {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isInternational(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "."), func(label string) bool { return strings.HasPrefix(label, "xn--") })
}

// inside reports whether a name is one of the domains or below one.
func inside(name string, domains []string) bool {
	name = strings.TrimPrefix(name, "*.")
	return slices.ContainsFunc(domains, func(domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) })
}

// kubernetesNames are those of some domains that are API servers' names. To name the domain of a whole cluster is not to
// name its API server.
func kubernetesNames(domains []string) []string {
	return slices.DeleteFunc(slices.Clone(domains), func(domain string) bool { return !kubernetesName(domain) })
}

func (j *judgement) inDomains(name string) bool {
	return kubernetesName(name) && j.has(controlPlane) || j.listed(name)
}

// listed reports whether a name is within a domain that the operator names.
func (j *judgement) listed(name string) bool {
	return inside(name, j.settings.Domains) || j.excepted(func(e Exception) bool { return inside(name, e.Domains) })
}

func (j *judgement) inNetworks(address netip.Addr) bool {
	contains := func(network netip.Prefix) bool { return network.Contains(address) }
	return slices.ContainsFunc(j.settings.Networks, contains) ||
		j.excepted(func(e Exception) bool { return slices.ContainsFunc(e.networks, contains) })
}

func (j *judgement) addresses() {
	if j.Asked != nil && len(j.Asked.Mapped) > 0 {
		j.refuse(IPNotAllowed, ruleAddresses, "", "the address %s is an IPv4 one written as IPv6", quote(j.Asked.Mapped[0]))
	}
	for _, text := range j.hosts().IPs {
		address, err := netip.ParseAddr(text)
		if err != nil || j.inNetworks(address) {
			continue
		}
		var what string
		switch {
		case address.IsUnspecified():
			what = "means every host"
		case address.IsMulticast() || text == "255.255.255.255":
			what = "is a group of hosts"
		case address.IsLinkLocalUnicast():
			what = "means another host on each link"
		case j.strict:
			what = "is not within the allowed networks"
		default:
			continue
		}
		j.refuse(IPNotAllowed, ruleAddresses, j.fix("networks: ", text), "the address %s %s", text, what)
	}
}

// otherNames are alternative names of other kinds, which mean something to programs that look for them.
func (j *judgement) otherNames() {
	if j.Asked == nil {
		return
	}
	for _, kind := range j.Asked.OtherNames {
		j.refuse(NameNotAllowed, ruleOtherNames, "", "an alternative name of the kind %s is not certified", kind)
	}
	for _, uri := range j.Asked.URIs {
		begins := func(prefix string) bool { return strings.HasPrefix(uri, prefix) }
		if !j.excepted(func(e Exception) bool { return slices.ContainsFunc(e.URIs, begins) }) {
			j.refuse(NameNotAllowed, ruleOtherNames, j.fix("uris: ", uri), "the URI %s is not allowed", quote(uri))
		}
	}
	for _, mail := range j.Asked.Mails {
		mailbox, domain, _ := strings.Cut(strings.ToLower(mail), "@")
		switch names, err := cert.ParseNames([]string{domain}); {
		case mailbox == "" || err != nil || names.Len() != 1: // a second "@" is in no host name
			j.refuse(NameNotAllowed, ruleOtherNames, "", "the mail address %s is not one mailbox of one host", quote(mail))
		case j.strict && !j.inDomains(domain):
			j.refuse(NameNotAllowed, ruleOtherNames, j.fix("domains: ", domain), "the mail address %s is not within the allowed domains", quote(mail))
		}
	}
}

func (j *judgement) count() {
	// The dialect bounds the one certificate that all units of an application share.
	if count := j.hosts().Len(); count > MaxNames && j.Kind != cert.Application {
		j.refuse(TooLarge, ruleNameCount, "", "it would have %d names, more than %d", count, MaxNames)
	}
}

// subject is about what X.509 does not allow, so that nobody tries to sign it: a certificate that names nobody (RFC 5280,
// 4.1.2.6), and a CA's without a subject. It comes last, for it looks at what the other rules leave.
func (j *judgement) subject() {
	if j.Asked == nil {
		return
	}
	left := j.Asked.Attributes + len(j.CommonNames)
	for _, organization := range j.Asked.Organizations {
		if !slices.Contains(j.verdict.Without, organization) {
			left++
		}
	}
	if left > 0 || j.Kind != cert.Intermediate && (j.Asked.AltNames || j.Names.Len() > 0) {
		return
	}
	why, fix := "the subject is empty", ""
	if len(j.verdict.Without) > 0 {
		why, fix = fmt.Sprintf("nothing is left of the subject without the organization %s", quote(j.verdict.Without[0])), j.identityFix(j.verdict.Without[0])
	}
	if j.Kind != cert.Intermediate {
		why += ", and there are no alternative names"
	}
	j.refuse(NameNotAllowed, ruleSubject, fix, "%s", why)
}

// quote gives foreign text in a form that is safe in a status or a log.
func quote(text string) string { return strconv.Quote(shorten(text)) }

func shorten(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
