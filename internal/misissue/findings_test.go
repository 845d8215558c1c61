// SPDX-License-Identifier: AGPL-3.0-only

package misissue

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"

	"github.com/signet-charm/signet/internal/misissue/forge"
)

// finding is a certificate, and the rule that it breaks.
type finding struct {
	rule  string
	asked func(*bench)
	made  func(*bench)
}

func findings() map[string]finding {
	all := map[string]finding{}
	for _, part := range []map[string]finding{profileFindings(), keyFindings(), authorityFindings(), identityFindings(), nameFindings()} {
		for name, one := range part {
			all[name] = one
		}
	}
	return all
}

func profileFindings() map[string]finding {
	return map[string]finding{
		"a server's":                   {},
		"a server's without a subject": {asked: func(b *bench) { b.draft.Subject = nil }},
		"a server's with an RSA key":   {asked: func(b *bench) { b.draft.Key = b.pool["good"][0] }},
		"one good for both":            {asked: func(b *bench) { b.draft.Usages = []asn1.ObjectIdentifier{oidServerAuth, oidClientAuth} }},
		"a second too long":            {"x509: it ends at", nil, func(b *bench) { b.template.NotAfter = b.template.NotAfter.Add(time.Second) }},
		"one that begins tomorrow":     {"x509: it begins at", nil, func(b *bench) { b.shift(24 * time.Hour) }},
		"one that outlives its CA":     {"x509: it ends at", nil, func(b *bench) { b.template.NotAfter = noon.AddDate(20, 0, 0) }},
		"one older than its CA":        {"x509: it begins before", nil, func(b *bench) { b.shift(-2 * time.Hour) }},
		"one of another CA": {"x509: the authority did not sign", nil, func(b *bench) {
			b.signer, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			b.parent.PublicKey = &b.signer.PublicKey
		}},
		"one with another issuer's name":      {"x509: the issuer is not", nil, func(b *bench) { b.parent.RawSubject = forge.Subject([]forge.RDN{forge.CommonName("Other")}) }},
		"a short serial number":               {"x509: the serial number", nil, func(b *bench) { b.template.SerialNumber = big.NewInt(7) }},
		"a long serial number":                {"x509: the serial number", nil, func(b *bench) { b.template.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 159) }},
		"for another key":                     {"x509: the subject key identifier", nil, func(b *bench) { b.template.PublicKey = &b.signer.PublicKey }},
		"without a subject key identifier":    {"x509: the extension 2.5.29.14 is missing", nil, func(b *bench) { b.template.SubjectKeyId = nil }},
		"with another's key identifier":       {"x509: the subject key identifier", nil, func(b *bench) { b.template.SubjectKeyId = []byte{9} }},
		"without an authority key identifier": {"x509: the extension 2.5.29.35 is missing", nil, func(b *bench) { b.parent.SubjectKeyId = nil }},
		"without basic constraints":           {"x509: the extension 2.5.29.19 is missing", nil, func(b *bench) { b.template.BasicConstraintsValid = false }},
		"without a key usage":                 {"x509: the extension 2.5.29.15 is missing", nil, func(b *bench) { b.template.KeyUsage = 0 }},
		"that may sign certificates":          {"x509: the key usage", nil, func(b *bench) { b.template.KeyUsage |= x509.KeyUsageCertSign }},
		"that deciphers with an EC key":       {"x509: the key usage", nil, func(b *bench) { b.template.KeyUsage |= x509.KeyUsageKeyEncipherment }},
		"with a further extension": {"x509: the extension 1.2.3 is not", nil, func(b *bench) {
			b.template.ExtraExtensions = append(b.template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}})
		}},
		"with alternative names that are critical": {"x509: the extension 2.5.29.17 is critical", nil, func(b *bench) { b.template.ExtraExtensions[0].Critical = true }},
		"with a name more than asked": {"x509: the alternative names", nil, func(b *bench) {
			b.template.ExtraExtensions[0].Value = forge.AltNames(forge.DNS("a.example.com", "b.example.com"))
		}},
		"without the names asked for": {"x509: the alternative names", nil, func(b *bench) { b.template.ExtraExtensions = nil }},
		"with another subject":        {"x509: the subject is", nil, func(b *bench) { b.template.RawSubject = forge.Subject([]forge.RDN{forge.CommonName("b.example.com")}) }},
		"with a string of another type": {"x509: the subject is", nil, func(b *bench) {
			b.template.RawSubject = forge.Subject([]forge.RDN{{forge.Typed(oidCommonName, 19, []byte("a.example.com"))}})
		}},
		"good for more than asked": {"x509: the extended key usages", nil, func(b *bench) { b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageClientAuth) }},
		"good for code":            {"x509: the extended key usages", nil, func(b *bench) { b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) }},
		"text that turns around":   {"x509: the subject's 2.5.4.3", func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("a\u202e.example.com")} }, nil},
		"a CA nobody asked for": {"ca", func(b *bench) { b.settings.Authorities = nil }, func(b *bench) {
			b.issue.Kind = Authority // as the rest of the profile sees it
			b.ask2()
		}},
		"a request for nobody's key": {"x509: the request is not signed", func(b *bench) { b.draft.Forged = true }, nil},
		"a request's critical extension": {"extensions", func(b *bench) {
			b.draft.Extensions = []forge.Extension{forge.ExtensionOf(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0})}
		}, nil},
		"a request's extension that is not": {asked: func(b *bench) {
			b.draft.Extensions = []forge.Extension{forge.ExtensionOf(asn1.ObjectIdentifier{1, 2, 3}, false, []byte{5, 0})}
		}},
		"a usage that is none of ours": {"usages", func(b *bench) {
			b.draft.Usages = []asn1.ObjectIdentifier{oidServerAuth, {1, 3, 6, 1, 5, 5, 7, 3, 3}}
		}, nil},
		"any usage": {"usages", func(b *bench) { b.draft.Usages = []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}} }, nil},
		"any usage under open": {asked: func(b *bench) {
			b.settings.Policy = "open"
			b.draft.Usages = []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}}
		}},
	}
}

func (b *bench) shift(by time.Duration) {
	b.template.NotBefore, b.template.NotAfter = b.template.NotBefore.Add(by), b.template.NotAfter.Add(by)
}

// ask2 makes the certificate under way a CA's.
func (b *bench) ask2() {
	b.template.IsCA, b.template.MaxPathLenZero, b.template.ExtKeyUsage = true, true, nil
	b.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	b.template.NotAfter = b.template.NotBefore.Add(b.settings.AuthorityLife - time.Second)
}

func keyFindings() map[string]finding {
	with := func(name string) func(*bench) { return func(b *bench) { b.draft.Key = b.pool[name][0] } }
	return map[string]finding{
		"P-384":             {asked: with("p384")},
		"P-521":             {"keys", with("p521"), nil},
		"P-521 by a rule":   {asked: func(b *bench) { with("p521")(b); b.rule(Rule{Keys: []string{"ecdsa-p521"}}) }},
		"Ed25519":           {"keys", with("ed25519"), nil},
		"Ed25519 by a rule": {asked: func(b *bench) { with("ed25519")(b); b.rule(Rule{Keys: []string{"ed25519"}}) }},
		"Ed25519 by another's rule": {"keys", func(b *bench) {
			with("ed25519")(b)
			b.rule(Rule{Applications: []string{"vault"}, Keys: []string{"ed25519"}})
		}, nil},
		"Ed25519 under open":      {asked: func(b *bench) { with("ed25519")(b); b.settings.Policy = "open" }},
		"P-224 under open":        {"keys", func(b *bench) { with("p224")(b); b.settings.Policy = "open" }, nil},
		"RSA-3072":                {asked: with("good-3072")},
		"RSA-4096":                {asked: with("good-4096")},
		"RSA-1024 under open":     {"keys", func(b *bench) { with("short-1024")(b); b.settings.Policy = "open" }, nil},
		"RSA-2047":                {"keys", with("short-2047"), nil},
		"the exponent 3":          {"keys", with("exponent-3"), nil},
		"a factor of 751":         {"keys", with("factor-751"), nil},
		"a factor of 3":           {"keys", with("factor-3"), nil},
		"close primes":            {"keys", with("close-2048"), nil},
		"close primes under open": {asked: func(b *bench) { with("close-2048")(b); b.settings.Policy = "open" }},
		"ROCA":                    {"keys", with("roca-2048"), nil},
		"the RFC's RSA key":       {"keys", with("rfc9500-2048"), nil},
		"the RFC's P-256 key":     {"keys", with("rfc9500-p256"), nil},
	}
}

// rule adds a rule, for the application of the case unless it names another.
func (b *bench) rule(one Rule) {
	if one.Applications == nil {
		one.Applications = []string{b.issue.Application}
	}
	b.settings.Rules = append(b.settings.Rules, one)
}

func authorityFindings() map[string]finding {
	ca := func(more func(*bench)) func(*bench) {
		return func(b *bench) {
			b.issue.Kind, b.issue.Application, b.issue.Unit = Authority, "vault", "vault/0"
			b.draft.Subject, b.draft.Names = []forge.RDN{forge.CommonName("Vault CA")}, nil
			if more != nil {
				more(b)
			}
		}
	}
	named := ca(func(b *bench) { b.settings.Authorities = []string{"vault"} })
	limited := ca(func(b *bench) { b.rule(Rule{CA: &Below{PathLength: 1, Domains: []string{"example.com"}}}) })
	strictly := ca(func(b *bench) {
		b.settings.Policy, b.settings.Authorities = "strict", []string{"vault"}
		b.settings.Domains = []string{"example.com"}
		b.rule(Rule{Identities: []string{"Vault CA"}})
	})
	return map[string]finding{
		"a CA's":                             {asked: named},
		"a CA's, for who is not named":       {"ca", ca(nil), nil},
		"a CA's, for who is not named, open": {"ca", ca(func(b *bench) { b.settings.Policy = "open" }), nil},
		"a CA's with a path":                 {"ca", named, func(b *bench) { b.template.MaxPathLen = 1; b.template.MaxPathLenZero = false }},
		"a CA's without end":                 {"ca", named, func(b *bench) { b.template.MaxPathLen = -1 }},
		"a CA's with usages":                 {"x509: ", named, func(b *bench) { b.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }},
		"a CA's as a rule has it": {"", limited, func(b *bench) {
			b.template.MaxPathLen, b.template.PermittedDNSDomainsCritical, b.template.PermittedDNSDomains = 1, true, []string{"example.com"}
			b.excludeAddresses()
		}},
		"a CA's without its limits": {"ca", limited, func(b *bench) { b.template.MaxPathLen = 1 }},
		"a CA's with limits that are not critical": {"x509: the extension 2.5.29.30 is critical", limited, func(b *bench) {
			b.template.MaxPathLen, b.template.PermittedDNSDomains = 1, []string{"example.com"}
			b.excludeAddresses()
		}},
		"a CA's by the lists": {"", strictly, func(b *bench) {
			b.template.PermittedDNSDomainsCritical, b.template.PermittedDNSDomains = true, []string{"example.com"}
			b.excludeAddresses()
		}},
		"a CA's that may certify all addresses": {"ca", strictly, func(b *bench) {
			b.template.PermittedDNSDomainsCritical, b.template.PermittedDNSDomains = true, []string{"example.com"}
		}},
		"a CA's without limits while rules only report": {"ca", with(strictly, func(b *bench) { b.settings.ReportOnly = true }), nil},
		"a CA's by the lists while rules only report": {"", with(strictly, func(b *bench) { b.settings.ReportOnly = true }), func(b *bench) {
			b.template.PermittedDNSDomainsCritical, b.template.PermittedDNSDomains = true, []string{"example.com"}
			b.excludeAddresses()
		}},
		"a leaf's for a CA's request": {"ca", func(b *bench) { b.draft.Extensions = []forge.Extension{forge.BasicConstraints(true, -1)} }, nil},
		"a leaf's for a leaf's":       {asked: func(b *bench) { b.draft.Extensions = []forge.Extension{forge.BasicConstraints(false, -1)} }},
		"a CA's in a client's name": {"identities", ca(func(b *bench) {
			b.settings.Authorities = []string{"vault"}
			b.draft.Subject = []forge.RDN{forge.CommonName("system:kube-proxy")}
		}), nil},
	}
}

// excludeAddresses keeps a CA from certifying any address.
func (b *bench) excludeAddresses() {
	_, four, _ := net.ParseCIDR("0.0.0.0/0")
	_, six, _ := net.ParseCIDR("::/0")
	b.template.ExcludedIPRanges = []*net.IPNet{four, six}
}

// client asks for a client certificate of a name, with organisations.
func client(application, name string, organizations ...string) func(*bench) {
	return func(b *bench) {
		b.issue.Application, b.issue.Unit, b.issue.Kind = application, application+"/0", Client
		b.draft.Subject, b.draft.Names, b.draft.Usages = nil, nil, []asn1.ObjectIdentifier{oidClientAuth}
		for _, one := range organizations {
			b.draft.Subject = append(b.draft.Subject, forge.Organization(one))
		}
		b.draft.Subject = append(b.draft.Subject, forge.CommonName(name))
	}
}

func with(first func(*bench), more func(*bench)) func(*bench) {
	return func(b *bench) { first(b); more(b) }
}

func identityFindings() map[string]finding {
	foreign := func(b *bench) { b.issue.CrossModel = true }
	strict := func(b *bench) { b.settings.Policy = "strict"; b.settings.Domains = []string{"example.com"} }
	return map[string]finding{
		"a client's":                          {asked: client("etcd", "backup")},
		"an API server's client":              {asked: client("kubernetes-control-plane", "system:kube-apiserver")},
		"one of a second control plane":       {asked: client("kubernetes-control-plane-b", "system:kube-apiserver")},
		"one of an application named alike":   {"identities", client("kubernetes-control-planes", "system:kube-apiserver"), nil},
		"a worker as API server":              {"identities", client("kubernetes-worker", "system:kube-apiserver"), nil},
		"a node's":                            {asked: client("kubernetes-worker", "system:node:juju-1", "system:nodes")},
		"a node without a name":               {"identities", client("kubernetes-worker", "system:node:"), nil},
		"a node's by anybody":                 {"identities", client("etcd", "system:node:juju-1"), nil},
		"the group of nodes by no node":       {"identities", client("kubernetes-worker", "system:kubelet", "system:nodes"), nil},
		"the masters by the control plane":    {"identities", client("kubernetes-control-plane", "system:kube-apiserver", "system:masters"), nil},
		"kubeadm's masters":                   {"identities", client("etcd", "admin", "kubeadm:cluster-admins"), nil},
		"the masters by a rule":               {asked: with(client("etcd", "admin", "system:masters"), func(b *bench) { b.rule(Rule{Identities: []string{"system:masters"}}) })},
		"the masters under open":              {asked: with(client("etcd", "admin", "system:masters"), func(b *bench) { b.settings.Policy = "open" })},
		"the masters while rules only report": {asked: with(client("etcd", "admin", "system:masters"), func(b *bench) { b.settings.ReportOnly = true })},
		"the masters in a set": {"identities", with(client("etcd", "admin"), func(b *bench) {
			b.draft.Subject = []forge.RDN{{forge.Text(oidCommonName, "admin"), forge.Text(oidOrganization, "system:masters")}}
		}), nil},
		"the masters in sixteen bits": {"identities", with(client("etcd", "admin"), func(b *bench) {
			b.draft.Subject = []forge.RDN{forge.CommonName("admin"), {forge.Typed(oidOrganization, 30, []byte("\x00s\x00y\x00s\x00t\x00e\x00m\x00:\x00m\x00a\x00s\x00t\x00e\x00r\x00s"))}}
		}), nil},
		"capitals":                          {"identities", client("etcd", "System:kube-proxy"), nil},
		"white space":                       {"identities", client("etcd", " system:kube-proxy"), nil},
		"the shared name":                   {"identities", client("etcd", "client"), nil},
		"a proxy's name":                    {"identities", client("etcd", "front-proxy-client"), nil},
		"the aggregator":                    {"identities", client("kubernetes-control-plane", "aggregator"), nil},
		"an identity by a rule":             {asked: with(client("etcd", "system:backup:0"), func(b *bench) { b.rule(Rule{Identities: []string{"system:backup:*"}}) })},
		"a role by a rule":                  {asked: with(client("node-agent", "system:kubelet"), func(b *bench) { b.rule(Rule{Role: "node"}) })},
		"an organisation that may not stay": {"x509: the subject is", client("etcd", "backup", "Example"), nil},
		"an organisation left out":          {"", client("etcd", "backup", "Example"), func(b *bench) { b.template.RawSubject = forge.Subject([]forge.RDN{forge.CommonName("backup")}) }},
		"an organisation by a rule":         {asked: with(client("etcd", "backup", "Example"), func(b *bench) { b.rule(Rule{Identities: []string{"Example"}}) })},
		"a server's organisation":           {asked: func(b *bench) { b.draft.Subject = append(b.draft.Subject, forge.Organization("Example")) }},
		"a server's organisation left out":  {"x509: the subject is", func(b *bench) { b.draft.Subject = append(b.draft.Subject, forge.Organization("Example")) }, func(b *bench) { b.template.RawSubject = forge.Subject([]forge.RDN{forge.CommonName("a.example.com")}) }},
		"two common names":                  {"common-name", func(b *bench) { b.draft.Subject = append(b.draft.Subject, forge.CommonName("b.example.com")) }, nil},
		"two common names in a set": {"common-name", func(b *bench) {
			b.draft.Subject = []forge.RDN{{forge.Text(oidCommonName, "a.example.com"), forge.Text(oidCommonName, "b.example.com")}}
		}, nil},
		"a client in another model":           {"usages", with(client("remote-0a", "x.example.com"), func(b *bench) { strict(b); foreign(b) }), nil},
		"a client in another model by a rule": {asked: with(client("remote-0a", "x.example.com"), func(b *bench) { strict(b); foreign(b); b.rule(Rule{Clients: true}) })},
		"a client that is not listed":         {"identities", with(client("etcd", "backup_user"), strict), nil},
		"a client that is listed":             {asked: with(client("etcd", "x.example.com"), strict)},
	}
}

func nameFindings() map[string]finding {
	named := func(names ...string) func(*bench) {
		return func(b *bench) { b.draft.Subject, b.draft.Names = nil, forge.DNS(names...) }
	}
	addressed := func(text string) func(*bench) {
		return func(b *bench) { b.draft.Subject, b.draft.Names = nil, []forge.Name{forge.Address(text)} }
	}
	other := func(kind int, content string) func(*bench) {
		return func(b *bench) { b.draft.Names = append(b.draft.Names, forge.NameOf(kind, []byte(content))) }
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.example.com", i)
	}
	strict := func(b *bench) {
		b.settings.Policy, b.settings.Domains = "strict", []string{"example.com"}
		b.settings.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	return map[string]finding{
		"a hundred names":                               {asked: named(many[:100]...)},
		"a hundred and one names":                       {"name-count", named(many...), nil},
		"the API server by anybody":                     {"names", named("kubernetes.default.svc"), nil},
		"the API server in a cluster":                   {"names", named("kubernetes.default.svc.cluster.local"), nil},
		"the API server in capitals":                    {"names", named("Kubernetes.Default"), nil},
		"the API server as common name":                 {"names", func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("kubernetes")} }, nil},
		"the API server by itself":                      {asked: with(named("kubernetes", "kubernetes.default.svc.cluster.local"), func(b *bench) { b.issue.Application = "k8s" })},
		"the API server by a rule":                      {asked: with(named("kubernetes"), func(b *bench) { b.rule(Rule{Domains: []string{"kubernetes"}}) })},
		"the API server by a rule for all of a cluster": {"names", with(named("kubernetes.default.svc.cluster.local"), func(b *bench) { b.rule(Rule{Domains: []string{"cluster.local"}}) }), nil},
		"another service":                               {asked: named("vault.default.svc.cluster.local")},
		"a number at the end":                           {"names", named("10.1"), nil},
		"a hexadecimal number at the end":               {"names", named("a.0x7f"), nil},
		"a foreign alphabet":                            {"names", named("xn--80ak6aa92e.com"), nil},
		"a foreign alphabet that is listed":             {asked: with(named("xn--80ak6aa92e.example.com"), func(b *bench) { b.settings.Domains = []string{"example.com"} })},
		"a wildcard":                                    {"wildcards", named("*.apps.example.com"), nil},
		"a wildcard by a rule":                          {asked: with(named("*.apps.example.com"), func(b *bench) { b.rule(Rule{Wildcards: true}) })},
		"a wildcard for all of com":                     {"wildcards", with(named("*.com"), func(b *bench) { b.rule(Rule{Wildcards: true}) }), nil},
		"a wildcard for all of co.uk":                   {"wildcards", with(named("*.co.uk"), func(b *bench) { b.rule(Rule{Wildcards: true}) }), nil},
		"a wildcard over the API server":                {"names", with(named("*.default.svc.cluster.local"), func(b *bench) { b.rule(Rule{Wildcards: true}) }), nil},
		"part of a wildcard as common name":             {"wildcards", func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("Kube*.default.svc")} }, nil},
		"an underscore in a common name":                {asked: func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("a_b.example.org")} }},
		"one that is not listed": {"names", with(strict, func(b *bench) {
			b.draft.Subject, b.draft.Names = []forge.RDN{forge.CommonName("a_b.example.org")}, forge.DNS("a.example.com")
		}), nil},
		"a wildcard as common name":         {"wildcards", func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("*.example.com")} }, nil},
		"an address":                        {asked: addressed("10.0.0.1")},
		"this host":                         {asked: addressed("127.0.0.1")},
		"no address":                        {"addresses", addressed("0.0.0.0"), nil},
		"no address of version 6":           {"addresses", addressed("::"), nil},
		"the metadata service":              {"addresses", addressed("169.254.169.254"), nil},
		"a link's address":                  {"addresses", addressed("fe80::1"), nil},
		"everybody":                         {"addresses", addressed("255.255.255.255"), nil},
		"a group":                           {"addresses", addressed("224.0.0.1"), nil},
		"a mapped address":                  {"addresses", addressed("::ffff:10.0.0.1"), nil},
		"a link's address that is listed":   {asked: with(addressed("fe80::1"), func(b *bench) { b.settings.Networks = []netip.Prefix{netip.MustParsePrefix("fe80::/64")} })},
		"a mapped address that is listed":   {"addresses", with(addressed("::ffff:10.0.0.1"), func(b *bench) { b.settings.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }), nil},
		"an address as common name":         {"addresses", func(b *bench) { b.draft.Subject = []forge.RDN{forge.CommonName("169.254.169.254")} }, nil},
		"a URI":                             {"other-names", other(kindURI, "spiffe://cluster/ns/a"), nil},
		"a URI by a rule":                   {asked: with(other(kindURI, "spiffe://cluster/ns/a"), func(b *bench) { b.rule(Rule{URIs: []string{"spiffe://cluster/"}}) })},
		"a mail address":                    {asked: other(kindMail, "a@example.org")},
		"a mail address that is not listed": {"other-names", with(other(kindMail, "a@example.org"), strict), nil},
		"a registered ID":                   {asked: other(kindID, "\x2a\x03")},
		"another name":                      {"other-names", other(forge.OtherName, "\x06\x03\x2a\x03\x04\xa0\x02\x05\x00"), nil},
		"a directory name":                  {"other-names", other(forge.Directory, "\x30\x00"), nil},
		"a listed name and address":         {asked: with(func(b *bench) { b.draft.Names = append(forge.DNS("x.example.com"), forge.Address("10.0.0.1")) }, strict)},
		"a name that is not listed":         {"names", with(named("example.org"), strict), nil},
		"a name that ends alike":            {"names", with(named("badexample.com"), strict), nil},
		"an address that is not listed":     {"addresses", with(addressed("192.0.2.1"), strict), nil},
		"a name in another model":           {"names", func(b *bench) { b.issue.CrossModel = true }, nil},
	}
}
